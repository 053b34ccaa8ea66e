"""ConFIG: the direction whose cosine with every gradient is the same; its length is what the gradients have along it.

    direction = (sum_i g_i . u) u        u = unit(U^+ 1), the rows of U are g_i / |g_i|

Where the gradients are linearly independent, the cosines are equal and positive, so that it conflicts with none.

jacobian    [m, n] one gradient a row
Returns     [n] the direction; 0 where the gradients leave none that has the same cosine with all
Numerics    U^+ 1 = U^T (U U^T)^+ 1, in float64; a gradient of 0 has no direction and is left out
Paper       Liu et al. 2024, arXiv:2408.11104, eq. 2
Differs     nothing
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.aggregations.dual_cone import unit_rows


def conflict_free(jacobian: Float[Tensor, "m n"]) -> Float[Tensor, "n"]:
    units, norms = unit_rows(jacobian)
    towards = torch.linalg.pinv(units @ units.mT, hermitian=True) @ (norms > 0).to(units)
    best = towards @ units
    length = best.norm()
    unit = best / torch.where(length > 0, length, 1.0)
    return ((jacobian.double() @ unit).sum() * unit).to(jacobian.dtype)
