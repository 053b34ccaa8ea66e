"""WSD-S: one run for several budgets, with a decay before each; training goes on from the decayed weights.

    (s + 1) / w        s < w                                            w   steps of warm-up
    1                  otherwise, but for the decays
    decay              e_k - d_k <= s < e_k,  d_k = floor(decay (e_k - e_(k-1)))

    e_1 < ... < e_K are the ends of the budgets and e_K the end of the run; e_0 = 0. At a budget's end the rate is back
    at the full one, with no warm-up.

warmup    steps (a whole number) or fraction of the run, in [0, 1)
budgets   ends of the budgets before the last: steps, or fractions of the run, in rising order; [] is wsd
decay     in [0, 1): part of each segment, the first one with the warm-up
shape     of the decays; see lossbench/schedules/wsd.py
final     in [0, 1], the multiplier that would hold just after a decay
Returns   multiplier in [0, 1]
Paper     Wen et al. 2024, arXiv:2410.05192; decays of a tenth, inverse_linear to a tenth of the rate
Differs   the paper's warm-up gives s / w, whose first update is lost. A checkpoint of a budget is the one that
          checkpoint.keep names, or an evaluation there
"""

import math
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Interval

from lossbench.errors import UsageError
from lossbench.schedules.schedule import Duration, ends_of_budgets, warmup_steps
from lossbench.schedules.wsd import Shape, check_final, decayed


def wsd_s(
    step: int,
    total_steps: int,
    *,
    warmup: Duration = 0.05,
    budgets: Sequence[Duration] = (0.25, 0.5),
    decay: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
    shape: Shape = "inverse_linear",
    final: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> float:
    rise, ends = warmup_steps(warmup, total_steps), ends_of_budgets(budgets, total_steps)
    check_final(shape, final)
    begin, end = next((a, b) for a, b in zip([0, *ends], [*ends, math.inf], strict=True) if step < b)
    if end == math.inf:  # just after the last step
        return decayed(shape, 1.0, final) if decay else 1.0
    fall = math.floor(decay * (end - begin) + 1e-9)
    if begin == 0 and rise + fall > end:
        raise UsageError(
            f"schedule.warmup={warmup}: the first budget has {end} steps, and warm-up and decay take {rise + fall}. "
            "Shorten schedule.warmup or schedule.decay, or give schedule.budgets that begin later."
        )
    if step < rise:
        return (step + 1) / rise
    return 1.0 if step < end - fall else decayed(shape, (step - (end - fall)) / fall, final)
