"""Cosine: warm-up in a line, then half a period of the cosine over the rest of the run.

    (s + 1) / w                                s < w                   w  steps of warm-up, S  total steps
    final + (1 - final) (1 + cos(pi u)) / 2    u = (s - w) / (S - w)

warmup    steps (a whole number) or fraction of the run, in [0, 1)
final     in [0, 1], the multiplier that would hold just after the last step
Returns   multiplier in [0, 1]
Paper     Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5 with one period
Differs   the warm-up is not in the paper
"""

import math
from typing import Annotated

from annotated_types import Interval

from lossbench.schedules.schedule import Duration, toward, warmup_steps


def cosine(
    step: int,
    total_steps: int,
    *,
    warmup: Duration = 0.05,
    final: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> float:
    rise = warmup_steps(warmup, total_steps)
    if step < rise:
        return (step + 1) / rise
    return toward(final, (1 + math.cos(math.pi * (step - rise) / (total_steps - rise))) / 2)
