"""Mean absolute error: the absolute difference, averaged over the outputs.

    l_i = 1 / P sum_k |predictions_i[k] - regression_targets_i[k]|

predictions  [*, P] outputs of the model        regression_targets  [*, P] standardised targets
Returns   [*] loss per example; its minimiser is the conditional median
Numerics  the gradient at a difference of 0 is 0
Paper     none: least absolute deviations
Differs   nothing
"""

from jaxtyping import Float
from torch import Tensor


def mean_absolute_error(
    predictions: Float[Tensor, "*b P"], regression_targets: Float[Tensor, "*b P"]
) -> Float[Tensor, "*b"]:
    return (predictions - regression_targets).abs().mean(-1)
