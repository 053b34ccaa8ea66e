"""Dual projection: the mean gradient is projected onto the directions that conflict with no gradient.

    direction = argmin_y |y - 1/m sum_i g_i|^2  over  J y >= 0

jacobian    [m, n] one gradient a row
Returns     [n] the direction, with jacobian @ direction >= 0
Numerics    the quadratic programme is solved exactly, in float64 on the processor
Paper       Lopez-Paz and Ranzato 2017, arXiv:1706.08840 (GEM), its eq. 8, with the mean gradient in the place of that
            of the new task; DualProj in Quinton and Rey 2024, arXiv:2406.16232
Differs     nothing
"""

from jaxtyping import Float
from torch import Tensor

from lossbench.aggregations.dual_cone import smallest, unit_rows


def dual_projection(jacobian: Float[Tensor, "m n"]) -> Float[Tensor, "n"]:
    units, norms = unit_rows(jacobian)
    return (smallest(units @ units.mT, norms / len(norms)) @ units).to(jacobian.dtype)
