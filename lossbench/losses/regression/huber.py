"""Huber: squared error for small differences, absolute error for large ones, averaged over the outputs.

    l_i = 1 / P sum_k h(|predictions_i[k] - regression_targets_i[k]|)
    h(r) = r^2 / 2 for r <= delta, otherwise delta (r - delta / 2)

predictions  [*, P] outputs of the model        regression_targets  [*, P] standardised targets
delta     > 0: where the two meet, in standard deviations of the targets. delta -> inf is half of mean_squared_error;
          divided by delta, delta -> 0 is mean_absolute_error
Returns   [*] loss per example
Numerics  without a branch, as c^2 / 2 + delta (r - c) with c = min(r, delta): nothing overflows
Paper     Huber 1964, Robust estimation of a location parameter
Differs   nothing
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor


def huber(
    predictions: Float[Tensor, "*b P"],
    regression_targets: Float[Tensor, "*b P"],
    *,
    delta: Annotated[float, Gt(0)] = 1.0,
) -> Float[Tensor, "*b"]:
    difference = (predictions - regression_targets).abs()
    small = difference.clamp(max=delta)
    return (small.square() / 2 + delta * (difference - small)).mean(-1)
