"""One cycle: up from a low to a large learning rate, then down to a far lower one.

    initial -> 1          steps 0 .. w - 1, the peak is at step w - 1         w  steps of warm-up, S  total steps
    1 -> final            steps w - 1 .. S - 1                                three_phase: 1 -> initial until step
                                                                              2 w - 2, initial -> final until S - 1
    each along a line or half a period of the cosine

warmup        steps (a whole number) or fraction of the run, in [0, 1); a warm-up of 0 or 1 step starts at the peak
initial       in (0, 1], the multiplier at step 0
final         in [0, 1], the multiplier at the last step, where the paper's cycle ends
shape         cosine or linear
three_phase   as in the paper: back down to initial as fast as up, then on to final; needs 2 warm-ups in the run
Returns       multiplier in [min(initial, final), 1]
Paper         Smith and Topin 2018, arXiv:1708.07120 (three phases, linear)
Differs       the momentum stays as it is, the paper moves it against the learning rate; with two phases, the default,
              this is torch.optim.lr_scheduler.OneCycleLR with pct_start = w / S and cycle_momentum=False
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Interval

from lossbench.errors import UsageError
from lossbench.schedules.schedule import Duration, warmup_steps


def one_cycle(
    step: int,
    total_steps: int,
    *,
    warmup: Duration = 0.3,
    initial: Annotated[float, Interval(gt=0, le=1)] = 0.04,
    final: Annotated[float, Interval(ge=0, le=1)] = 4e-6,
    shape: Literal["cosine", "linear"] = "cosine",
    three_phase: bool = False,
) -> float:
    peak = max(warmup_steps(warmup, total_steps) - 1, 0)
    last = total_steps - 1
    knots = [(0, initial)] * (peak > 0) + [(peak, 1.0)]
    if three_phase and peak > 0:
        if 2 * peak > last:
            raise UsageError(
                f"schedule.warmup={warmup}: with schedule.three_phase=true the way down takes as long as the warm-up, "
                f"and both do not fit into {total_steps} steps. Give a schedule.warmup of at most half of the run."
            )
        knots.append((2 * peak, initial))
    if last > knots[-1][0]:
        knots.append((last, final))
    for (start, before), (stop, after) in pairwise(knots):
        if step <= stop:
            u = (step - start) / (stop - start)
            return before + (after - before) * ((1 - math.cos(math.pi * u)) / 2 if shape == "cosine" else u)
    return knots[-1][1]  # a run of one step, or a warm-up as long as the run
