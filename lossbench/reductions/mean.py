"""Mean: every valid element counts the same, whichever example it belongs to.

    total / count = sum_i mask_i values_i / sum_i mask_i

values    [B] or [B, T]         mask    of the same shape, true where an element counts; None: everywhere
Returns   (total, count); micro-batches and ranks add up exactly
Numerics  masked values may be NaN or infinite: they change neither value nor gradient
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def mean(values: Float[Tensor, "*b"], mask: Bool[Tensor, "*b"] | None = None) -> tuple[Tensor, Tensor | int]:
    if mask is None:
        return values.sum(), values.numel()
    return torch.where(mask, values, torch.zeros_like(values)).sum(), mask.sum()
