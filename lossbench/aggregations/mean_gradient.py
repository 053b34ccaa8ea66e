"""Mean gradient: what the others are compared with. Of examples it is the ordinary gradient of the mean.

    direction = 1/m sum_i g_i

Of the terms of a loss it is the ordinary gradient divided by their number, where the loss is the sum of its terms.

jacobian    [m, n] one gradient a row
Returns     [n] the direction
Paper       none: empirical risk minimisation
Differs     nothing
"""

from jaxtyping import Float
from torch import Tensor


def mean_gradient(jacobian: Float[Tensor, "m n"]) -> Float[Tensor, "n"]:
    return jacobian.mean(0)
