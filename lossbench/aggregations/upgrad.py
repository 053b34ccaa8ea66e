"""UPGrad: every gradient is projected onto the directions that conflict with none, and the projections are averaged.

    pi(g) = argmin_y |y - g|^2  over  J y >= 0
    direction = 1/m sum_i pi(g_i)             pi(g_i) = J^T argmin { v^T J J^T v : v >= e_i }

For one objective, or gradients none of which conflict, it is the mean. A gradient that is scaled scales its own part.

jacobian    [m, n] one gradient a row
Returns     [n] the direction, with jacobian @ direction >= 0
Numerics    the m quadratic programmes are solved exactly, in float64 on the processor, on the cosines between the
            gradients: projections do not depend on the norms of the others, which may differ by any factor
Paper       Quinton and Rey 2024, arXiv:2406.16232, UPGrad
Differs     the authors' package (torchjd) divides the Gramian by its trace and adds 1e-4 to its diagonal, so that
            gradients that are much smaller than others are lost, and the direction may conflict with them
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.aggregations.dual_cone import smallest, unit_rows


def upgrad(jacobian: Float[Tensor, "m n"]) -> Float[Tensor, "n"]:
    units, norms = unit_rows(jacobian)
    cosines = units @ units.mT
    projections = torch.stack([smallest(cosines, own) for own in torch.eye(len(norms)).to(cosines)])  # in unit rows
    return ((norms @ projections / len(norms)) @ units).to(jacobian.dtype)
