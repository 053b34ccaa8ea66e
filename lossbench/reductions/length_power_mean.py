"""Length power mean (Delta L): the sum over the tokens of each sequence, weighted by a power of the sequence's length.

    total / count = sum_i x_i sum_t mask_it values_it        x_i = n_i^-alpha / (length sum_j n_j^-alpha)

with n_i = sum_t mask_it. alpha = 0 is fixed_length_mean. Where the variance of a sequence's sum is proportional to its
length, alpha = 1 has the least variance among all weights with the same sum.

values    [B, T], or [B], where it is the plain mean
mask      of the same shape, true where an element counts; None: everywhere
alpha     >= 0
length    null is T; > 0: the weights sum to 1 / length
Returns   (total, count): micro-batches add up exactly; sequences without a valid token do not count
Numerics  masked values may be NaN or infinite: they change neither value nor gradient
Paper     He et al. 2025, arXiv:2509.07558, the minimum-variance weights; alpha = 0.75 for mathematics, 1 for countdown
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.reductions.mean import mean


def length_power_mean(
    values: Float[Tensor, "*b"],
    mask: Bool[Tensor, "*b"] | None = None,
    *,
    alpha: Annotated[float, Ge(0)] = 1.0,
    length: Annotated[float, Gt(0)] | None = None,
) -> tuple[Tensor, Tensor | float]:
    if values.ndim == 1:
        return mean(values, mask)
    counted = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    number = counted.sum(-1)
    weights = torch.where(number > 0, number.clamp(min=1).to(values.dtype) ** -alpha, 0.0)
    divisor = values.shape[-1] if length is None else length
    return (weights * torch.where(counted, values, 0.0).sum(-1)).sum(), weights.sum() * divisor
