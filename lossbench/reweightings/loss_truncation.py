"""Loss truncation: the sequences of a batch that have the largest losses do not count.

    w_i = [l_i <= q]        l_i: mean loss of the tokens of sequence i that count; q: quantile of the l_i of the batch

losses     [B, T] loss of each token, without gradient      mask   [B, T] true where a token counts
progress   [] part of the training budget that is spent
fraction   in [0, 1): part of the sequences that is left out, rounded down; 0 keeps all
start      in [0, 1]: part of the training budget during which every sequence counts
Returns   [B] weight of each sequence, 0 or 1. It looks at the whole batch
Paper     Kang and Hashimoto 2020, arXiv:2004.14589
Differs   the paper estimates the quantile from many batches, here it is that of the batch. What is dropped still counts
          in the mean
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import masked_mean


def loss_truncation(
    losses: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    progress: Float[Tensor, ""],
    *,
    fraction: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
    start: Annotated[float, Interval(ge=0, le=1)] = 0.2,
) -> Float[Tensor, "B"]:
    there = mask.any(-1)
    own = torch.where(there, masked_mean(losses, mask, dim=-1), -torch.inf)
    dropped = (fraction * there.sum()).long()
    limit = own.sort(descending=True).values.gather(0, dropped.unsqueeze(0)).squeeze(0)
    return ((own <= limit) | (progress < start)).to(losses.dtype)
