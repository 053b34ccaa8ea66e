"""Cosine with warm restarts: half a period of the cosine, again and again, each cycle longer than the one before.

    lowest + (1 - lowest) (1 + cos(pi t / T_k)) / 2        T_k = cycle growth^k, t steps since the cycle began

It does not depend on the length of the run: a run whose budget ends with a cycle does the same steps as a longer one up
to there, so that what the longer run measures at the end of each cycle is what shorter runs would end with.

cycle     steps of the first cycle: a whole number >= 1, or a fraction of the run, in (0, 1)
growth    >= 1: how many times longer each cycle is than the one before
lowest    in [0, 1], the multiplier that would hold just after the last step of a cycle
Returns   multiplier in [0, 1]
Paper     Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5, as Portes et al. 2022, arXiv:2206.00832, use it to read a
          curve of accuracy against training time from one run: growth = 2, the first cycle 8 of 248 epochs
Differs   nothing; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts where growth and cycle are whole numbers
"""

import math
from typing import Annotated

from annotated_types import Ge, Interval

from lossbench.schedules.schedule import steps, toward


def cosine_restarts(
    step: int,
    total_steps: int,
    *,
    cycle: Annotated[int, Ge(1)] | Annotated[float, Interval(gt=0, lt=1)] = 0.03226,
    growth: Annotated[float, Ge(1)] = 2.0,
    lowest: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> float:
    start, length = 0, float(max(steps(cycle, total_steps), 1))
    while step >= start + round(length):
        start += round(length)
        length *= growth
    return toward(lowest, (1 + math.cos(math.pi * (step - start) / round(length))) / 2)
