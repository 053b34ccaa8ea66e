"""Concatenated distance covariance (CCdCov) of the predictions with all protected attributes as one vector.

    weight dCov^2(p, (s_1, ..., s_A))

It is 0 for the whole population only where the predictions are independent of all attributes together, subgroups of
several attributes included; the sum over the attributes one by one can be 0 without that.

logits      [B, C] unnormalised scores; p is the probability of the second of two classes, or of all classes
attributes  [B, A] protected attributes, one a column; a class as indicators, a number standardised
weight      >= 0; 0 is no penalty
unbiased    the estimate: unbiased, which may be negative (0 for fewer than 4 examples), or the biased one, at least 0
Returns     [] one value for the batch. It does not add over micro-batches
Numerics    distances whose gradient at 0 is 0; O(B^2) memory
Paper       Lee et al. 2025, arXiv:2509.08163; the unbiased estimate as in their code
Differs     nothing
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from lossbench.dependence import probabilities, squared_distance_covariance


def concatenated_distance_covariance(
    logits: Float[Tensor, "B C"],
    attributes: Float[Tensor, "B A"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
    unbiased: bool = True,
) -> Float[Tensor, ""]:
    p = probabilities(logits)
    return weight * squared_distance_covariance(p, attributes.to(p.dtype), unbiased)
