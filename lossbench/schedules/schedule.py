"""What the schedules share: how long a phase is, and the warm-up.

A schedule is a pure function ``(step, total_steps) -> multiplier`` of the learning rate, for step 0..total_steps-1. The
multiplier at a step belongs to the update that this step makes. The same conventions hold for all:

    warm-up of w steps    (step + 1) / w for step < w: the first update is not lost to a learning rate of 0, and the
                          last step of the warm-up, w - 1, is the first at the peak
    decay of d steps      starts from 1 at step total_steps - d and would be at ``final`` at step total_steps, just
                          after the last update, so that a final of 0 wastes no update

``one_cycle`` and ``cyclic`` keep the end points of their papers; their docstrings say which.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, Interval

from lossbench.errors import UsageError

# A whole number counts steps; a fraction is of the run's steps.
Duration = Annotated[int, Ge(0)] | Annotated[float, Interval(ge=0, lt=1)]


def steps(duration: int | float, total_steps: int) -> int:
    """Length of a phase in steps: a whole number as it is, a fraction of total_steps rounded down.

    Rounding down keeps phases whose fractions sum to at most 1 within the run.
    """
    if isinstance(duration, int):
        return duration
    return math.floor(duration * total_steps + 1e-9)  # 0.29 * 100 is 28.999999999999996


def warmup_steps(warmup: int | float, total_steps: int) -> int:
    """Length of the warm-up; refused where it is longer than the run."""
    length = steps(warmup, total_steps)
    if length > total_steps:
        raise UsageError(
            f"schedule.warmup={warmup}: the warm-up is longer than the run, which has {total_steps} steps. "
            f"Give at most {total_steps}, or a fraction of the run such as 0.05."
        )
    return length


def ends_of_budgets(budgets: Sequence[int | float], total_steps: int) -> list[int]:
    """The steps at which the budgets of one run end, rising, the last of them the end of the run.

    Of budgets that fall together because the run is very short, one is kept.
    """
    ends = [*(steps(budget, total_steps) for budget in budgets), total_steps]
    if any(second < first for first, second in pairwise(ends)):
        raise UsageError(
            f"schedule.budgets={list(budgets)}: they end at the steps {ends} of this run, and each has to end "
            "after the one before. Give steps or fractions of the run in rising order, or train longer."
        )
    return sorted({end for end in ends if end})


def toward(final: float, shape: float) -> float:
    """The multiplier between 1 (shape = 1) and ``final`` (shape = 0)."""
    return final + (1 - final) * shape
