"""Fixed length mean: the sum over the tokens of each sequence by one number that is the same for all.

    total / count = sum_it mask_it values_it / (length #{i: n_i > 0})        n_i = sum_t mask_it

values    [B, T], or [B], where it is the plain mean
mask      of the same shape, true where an element counts; None: everywhere
length    null is T; > 0
Returns   (total, count): sequences with at least one valid token, times the length; micro-batches add up exactly
Numerics  masked values may be NaN or infinite: they change neither value nor gradient
Paper     Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783, section 3.1: a constant in the place of 1 / |o_i|
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.reductions.mean import mean


def fixed_length_mean(
    values: Float[Tensor, "*b"],
    mask: Bool[Tensor, "*b"] | None = None,
    *,
    length: Annotated[float, Gt(0)] | None = None,
) -> tuple[Tensor, Tensor | float]:
    if values.ndim == 1:
        return mean(values, mask)
    divisor = values.shape[-1] if length is None else length
    if mask is None:
        return values.sum(), len(values) * divisor
    return torch.where(mask, values, 0.0).sum(), mask.any(-1).sum() * divisor
