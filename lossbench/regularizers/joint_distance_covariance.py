"""Joint distance covariance (JdCov) of the predictions and the protected attributes: of pairs, triples and so on.

    weight (1 / (n (n - 3)) sum_kl prod_v (U_v(k, l) + balance) - n / (n - 3) balance^(A + 1))

U_v are the centred distances of variable v: the predictions p and each of the A attributes. The biased estimate has n^2
in the place of n (n - 3), and 1 in the place of n / (n - 3).

logits      [B, C] unnormalised scores; p is the probability of the second of two classes, or of all classes
attributes  [B, A] protected attributes, one a column
weight      >= 0; 0 is no penalty
balance     > 0; c: the larger, the more pairs count against triples and more
unbiased    the estimate: unbiased, which may be negative (0 for fewer than 4 examples), or the biased one
Returns     [] one value for the batch, dependence of the attributes among themselves included, which is a constant. It
            does not add over micro-batches
Numerics    distances whose gradient at 0 is 0; O(B^2 A) memory
Paper       Lee et al. 2025, arXiv:2509.08163, as a penalty; Chakraborty and Zhang 2019, JASA 114, equation 11 and
            section 3.2, the measure and its estimates; balance 1
Differs     nothing
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.dependence import centred_distances, probabilities


def joint_distance_covariance(
    logits: Float[Tensor, "B C"],
    attributes: Float[Tensor, "B A"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
    balance: Annotated[float, Gt(0)] = 1.0,
    unbiased: bool = True,
) -> Float[Tensor, ""]:
    p = probabilities(logits)
    n = len(p)
    if unbiased and n < 4:
        return 0 * p.sum()
    variables = [p, *attributes.to(p.dtype).split(1, dim=1)]
    product = torch.stack([centred_distances(v, unbiased) + balance for v in variables]).prod(0).sum()
    if unbiased:
        return weight * (product / (n * (n - 3)) - n / (n - 3) * balance ** len(variables))
    return weight * (product / n**2 - balance ** len(variables))
