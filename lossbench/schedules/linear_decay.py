"""Linear decay: warm-up in a line, then down in a line over the rest of the run.

    (s + 1) / w                      s < w                   w  steps of warm-up, S  total steps
    final + (1 - final) (1 - u)      u = (s - w) / (S - w)

warmup    steps (a whole number) or fraction of the run, in [0, 1)
final     in [0, 1], the multiplier that would hold just after the last step
Returns   multiplier in [0, 1]
Paper     Defazio et al. 2023, arXiv:2310.07831 (why a line down to 0)
Differs   nothing
"""

from typing import Annotated

from annotated_types import Interval

from lossbench.schedules.schedule import Duration, toward, warmup_steps


def linear_decay(
    step: int,
    total_steps: int,
    *,
    warmup: Duration = 0.05,
    final: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> float:
    rise = warmup_steps(warmup, total_steps)
    if step < rise:
        return (step + 1) / rise
    return toward(final, 1 - (step - rise) / (total_steps - rise))
