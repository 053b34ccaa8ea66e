"""Mean squared error: the squared difference, averaged over the outputs.

    l_i = 1 / P sum_k (predictions_i[k] - regression_targets_i[k])^2

predictions  [*, P] outputs of the model        regression_targets  [*, P] standardised targets
Returns   [*] loss per example; its minimiser is the conditional mean
Numerics  plain; overflows in float32 beyond differences of 1e19
Paper     none: least squares
Differs   nothing; without the factor 1/2 that some texts have
"""

from jaxtyping import Float
from torch import Tensor


def mean_squared_error(
    predictions: Float[Tensor, "*b P"], regression_targets: Float[Tensor, "*b P"]
) -> Float[Tensor, "*b"]:
    return (predictions - regression_targets).square().mean(-1)
