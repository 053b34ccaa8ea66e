"""Cosine restarts: one run for several budgets, half a period of the cosine for each, then back to the full rate.

    (s + 1) / w                                s < w                   w  steps of warm-up
    final + (1 - final) (1 + cos(pi u)) / 2    u = (s - b) / (e - b)   b, e  ends of the budgets around s; the first b
                                                                       is w, the last e the end of the run

warmup    steps (a whole number) or fraction of the run, in [0, 1)
budgets   ends of the budgets before the last: steps, or fractions of the run, in rising order; [] is cosine
final     in [0, 1], the multiplier that would hold just after a budget
Returns   multiplier in [0, 1]
Paper     Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5; Wen et al. 2024, arXiv:2410.05192, compare with it
Differs   the warm-up is not in the paper; the periods are free, and no multiples of each other
"""

import math
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Interval

from lossbench.errors import UsageError
from lossbench.schedules.schedule import Duration, ends_of_budgets, toward, warmup_steps


def cosine_restarts(
    step: int,
    total_steps: int,
    *,
    warmup: Duration = 0.05,
    budgets: Sequence[Duration] = (0.25, 0.5),
    final: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> float:
    rise, ends = warmup_steps(warmup, total_steps), ends_of_budgets(budgets, total_steps)
    if rise > ends[0]:
        raise UsageError(
            f"schedule.warmup={warmup}: it takes {rise} steps, and the first budget has {ends[0]}. "
            "Shorten schedule.warmup, or give schedule.budgets that begin later."
        )
    if step < rise:
        return (step + 1) / rise
    bounds = [rise, *ends]
    begin, end = next(((a, b) for a, b in zip(bounds, ends, strict=False) if a <= step < b), (0, step))
    u = (step - begin) / (end - begin) if end > begin else 1.0
    return toward(final, (1 + math.cos(math.pi * u)) / 2)
