"""MGDA: the shortest vector in the convex hull of the gradients.

    direction = J^T argmin { |J^T a|^2 : a >= 0, sum_i a_i = 1 }

It decreases all objectives alike, by at least its squared norm each, and is 0 exactly where no direction decreases all:
at a Pareto-stationary point. The smallest gradients decide.

jacobian    [m, n] one gradient a row
Returns     [n] the direction
Numerics    solved exactly, in float64 on the processor: z >= 0 of least |J^T z|^2 + (1^T z - 1)^2, and a = z / 1^T z
Paper       Desideri 2012, Multiple-gradient descent algorithm (MGDA) for multiobjective optimization; Sener and Koltun
            2018, arXiv:1810.04650, eq. 3
Differs     gradients with respect to all parameters, not to a shared representation (the upper bound of Sener and
            Koltun)
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.aggregations.dual_cone import square_root


def mgda(jacobian: Float[Tensor, "m n"]) -> Float[Tensor, "n"]:
    from scipy.optimize import nnls

    rows = jacobian.double()
    gramian = rows @ rows.mT
    size = gramian.trace()
    factor = square_root(gramian / torch.where(size > 0, size, 1.0))
    ones = factor.new_ones(1, len(rows))
    wanted = torch.cat([factor.new_zeros(len(rows)), factor.new_ones(1)])
    z, _ = nnls(torch.cat([factor, ones]).cpu().numpy(), wanted.cpu().numpy(), maxiter=30 * len(rows))
    weights = torch.from_numpy(z / z.sum()).to(rows)
    return (weights @ rows).to(jacobian.dtype)
