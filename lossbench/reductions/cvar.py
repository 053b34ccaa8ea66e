"""Conditional value at risk: the mean of the worst part of the values.

    total / count = 1/k sum of the k largest valid values        k = ceil(fraction n), n valid values

values    [B] or [B, T]         mask    of the same shape, true where an element counts; None: everywhere
fraction  in (0, 1]: the part that counts; 1 is the mean
Returns   (total, count); the worst of every micro-batch, which is not the worst of the whole batch
Numerics  by sorting, without a selection by mask, so that it runs batched; of equal values at the cut, some count.
          Masked values may be NaN or infinite: they change neither value nor gradient. A valid NaN is kept, so that it
          is noticed
Paper     Rockafellar and Uryasev 2000, Journal of Risk 2(3); with alpha = 1 - fraction
Differs   where fraction n is not whole, theirs gives the last value a part of its weight; here it counts in full
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor


def cvar(
    values: Float[Tensor, "*b"],
    mask: Bool[Tensor, "*b"] | None = None,
    *,
    fraction: Annotated[float, Interval(gt=0, le=1)] = 0.5,
) -> tuple[Tensor, Tensor]:
    valid = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    worst_first = torch.where(valid, values, torch.full_like(values, -torch.inf)).flatten().sort(descending=True).values
    # The product is a hair above a whole number where fraction is not a binary one: 0.07 * 100 > 7.
    k = (fraction * valid.sum().double() * (1 - 1e-7)).ceil()
    counts = torch.arange(values.numel(), device=values.device) < k
    return torch.where(counts, worst_first, torch.zeros_like(worst_first)).sum(), k.to(values.dtype)
