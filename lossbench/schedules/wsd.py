"""Warm-up, stable, decay (WSD): up in a line, a long plateau at the peak, a short decay at the end.

    (s + 1) / w                    s < w                               w, d  steps of warm-up and decay
    1                              w <= s < S - d                      S     total steps
    final + (1 - final) f(u)       S - d <= s,  u = (s - (S - d)) / d, so that u = 0 at the first step of the decay

    shape              f(u), from 1 at u = 0 to 0 at u = 1
    linear             1 - u
    cosine             (1 + cos(pi u)) / 2
    mirror_cosine      2 (1 - u) - (1 + cos(pi u)) / 2, the cosine mirrored at the line
    square             1 - u^2
    sqrt               sqrt(1 - u)
    one_minus_sqrt     1 - sqrt(u); literature often calls this one "sqrt"
    exponential        the multiplier is final^u: a line in the logarithm
    inverse_linear     the multiplier is 1 / ((1 - u) + u / final): a line in the reciprocal

warmup    steps (a whole number) or fraction of the run, in [0, 1)
decay     as warmup; 0 keeps the plateau to the end
shape     of the decay
final     in [0, 1], the multiplier that would hold just after the last step; exponential and inverse_linear never
          reach 0 and need final > 0
Returns   multiplier in [final, 1] from the end of the warm-up on
Paper     Hu et al. 2024, arXiv:2404.06395 (WSD); Hägele et al. 2024, arXiv:2405.18392 (one_minus_sqrt, 20 %);
          Wen et al. 2024, arXiv:2410.05192 (inverse_linear)
Differs   the papers' warm-up gives s / w, whose first update is lost
"""

import math
from typing import Annotated, Literal

from annotated_types import Interval

from lossbench.errors import UsageError
from lossbench.schedules.schedule import Duration, steps, toward, warmup_steps

Shape = Literal[
    "linear", "cosine", "mirror_cosine", "square", "sqrt", "one_minus_sqrt", "exponential", "inverse_linear"
]


def wsd(
    step: int,
    total_steps: int,
    *,
    warmup: Duration = 0.05,
    decay: Duration = 0.2,
    shape: Shape = "one_minus_sqrt",
    final: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> float:
    rise, fall = warmup_steps(warmup, total_steps), steps(decay, total_steps)
    if rise + fall > total_steps:
        raise UsageError(
            f"schedule.warmup={warmup} and schedule.decay={decay}: together they take {rise + fall} steps, and the run "
            f"has {total_steps}. Shorten schedule.decay or schedule.warmup, or train longer."
        )
    check_final(shape, final)
    if step < rise:
        return (step + 1) / rise
    if step < total_steps - fall:
        return 1.0
    return decayed(shape, (step - (total_steps - fall)) / fall, final)


def check_final(shape: Shape, final: float) -> None:
    if final == 0 and shape in ("exponential", "inverse_linear"):
        raise UsageError(
            f"schedule.final=0: a decay of schedule.shape={shape} never reaches 0. "
            "Give a schedule.final above 0, such as 0.01, or another schedule.shape, such as one_minus_sqrt."
        )


def decayed(shape: Shape, u: float, final: float) -> float:
    """The multiplier at the part u of a decay, in [0, 1]."""
    match shape:
        case "linear":
            return toward(final, 1 - u)
        case "cosine":
            return toward(final, (1 + math.cos(math.pi * u)) / 2)
        case "mirror_cosine":
            return toward(final, 2 * (1 - u) - (1 + math.cos(math.pi * u)) / 2)
        case "square":
            return toward(final, 1 - u * u)
        case "sqrt":
            return toward(final, math.sqrt(1 - u))
        case "one_minus_sqrt":
            return toward(final, 1 - math.sqrt(u))
        case "exponential":
            return final**u
        case "inverse_linear":
            return 1 / ((1 - u) + u / final)
