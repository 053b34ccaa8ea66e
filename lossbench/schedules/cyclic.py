"""Cyclic: up and down between a low and the full learning rate, in lines.

    lowest + (1 - lowest) h^(k - 1) max(0, 1 - |s / half - 2 k + 1|)
    k = floor(1 + s / (2 half)), the number of the cycle

half_cycle   steps from the bottom to the peak: a whole number >= 1, or a fraction of the run, in (0, 1)
lowest       in (0, 1], the multiplier at the bottom, where the run starts
mode         triangular: h = 1, every peak is 1; triangular2: h = 1/2, every cycle is half as high as the one before
Returns      multiplier in [lowest, 1]
Paper        Smith 2017, arXiv:1506.01186, section 3.1
Differs      nothing; torch.optim.lr_scheduler.CyclicLR with base_lr = lowest and max_lr = 1. The run ends where the
             cycle happens to be: at the bottom just after the last step where it holds a whole number of cycles
"""

import math
from typing import Annotated, Literal

from annotated_types import Ge, Interval

from lossbench.schedules.schedule import steps


def cyclic(
    step: int,
    total_steps: int,
    *,
    half_cycle: Annotated[int, Ge(1)] | Annotated[float, Interval(gt=0, lt=1)] = 0.125,
    lowest: Annotated[float, Interval(gt=0, le=1)] = 0.1,
    mode: Literal["triangular", "triangular2"] = "triangular",
) -> float:
    half = max(steps(half_cycle, total_steps), 1)
    cycle = math.floor(1 + step / (2 * half))
    height = 0.5 ** (cycle - 1) if mode == "triangular2" else 1.0
    return lowest + (1 - lowest) * height * max(0.0, 1 - abs(step / half - 2 * cycle + 1))
