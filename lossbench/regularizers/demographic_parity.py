"""Demographic parity penalty: the spread of the groups' mean predicted probabilities.

    weight sum_c mean_g (m_gc - mean_g m_gc)^2        m_gc = mean of p_ic over the examples i of group g

logits        [B, C] unnormalised scores; p = softmax(logits)        groups   [B] group indices
group_counts  [G] for the number of groups
weight        >= 0; 0 is no penalty
Returns       [] one value for the batch; groups without an example in it are left out. For two classes and two groups
              it is weight / 2 (m_01 - m_11)^2. It does not add over micro-batches
Numerics      a square: smooth where the groups are equal
Paper         none of its own: the usual baseline of fairness papers, demographic parity as a penalty
Differs       some take the absolute difference, or scores instead of probabilities
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot


def demographic_parity(
    logits: Float[Tensor, "B C"],
    groups: Int[Tensor, "B"],
    group_counts: Float[Tensor, "G"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
) -> Float[Tensor, ""]:
    members = one_hot(groups, group_counts.shape[-1], logits.dtype)
    counts = members.sum(0)
    present = (counts > 0).unsqueeze(-1)
    means = members.mT @ logits.softmax(-1) / counts.clamp(min=1).unsqueeze(-1)  # [G, C]
    centre = torch.where(present, means, 0).sum(0) / present.sum()
    return weight * torch.where(present, (means - centre).square(), 0).sum() / present.sum()
