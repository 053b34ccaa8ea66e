"""Distance covariance of the predictions with every protected attribute, one by one.

    weight sum_a dCov^2(p, s_a)

logits      [B, C] unnormalised scores; p is the probability of the second of two classes, or of all classes
attributes  [B, A] protected attributes s, one a column
weight      >= 0; 0 is no penalty
unbiased    the estimate: unbiased, which may be negative (0 for fewer than 4 examples), or the biased one, at least 0
Returns     [] one value for the batch. It does not add over micro-batches
Numerics    distances whose gradient at 0 is 0; O(B^2) memory
Paper       the sum of marginals that Lee et al. 2025, arXiv:2509.08163, compare with; Szekely et al. 2007
Differs     nothing
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from lossbench.dependence import probabilities, squared_distance_covariance


def distance_covariance(
    logits: Float[Tensor, "B C"],
    attributes: Float[Tensor, "B A"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
    unbiased: bool = True,
) -> Float[Tensor, ""]:
    p = probabilities(logits)
    columns = attributes.to(p.dtype).unbind(1)
    return weight * torch.stack([squared_distance_covariance(p, s.unsqueeze(1), unbiased) for s in columns]).sum()
