"""Sum: the total over the valid elements, never divided; its scale grows with the batch.

    total = sum_i mask_i values_i

values    [B] or [B, T]         mask    of the same shape, true where an element counts; None: everywhere
Returns   (total, 0): a count of 0 means that there is nothing to divide by
Numerics  masked values may be NaN or infinite: they change neither value nor gradient
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def sum(values: Float[Tensor, "*b"], mask: Bool[Tensor, "*b"] | None = None) -> tuple[Tensor, int]:
    if mask is None:
        return values.sum(), 0
    return torch.where(mask, values, torch.zeros_like(values)).sum(), 0
