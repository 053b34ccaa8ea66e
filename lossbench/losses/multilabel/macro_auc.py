"""Macro AUC: for every label, each pair of a positive and a negative example in the wrong order costs a logistic loss.

    l = 1 / K sum_k 1 / (|P_k| |Q_k|) sum_{i in P_k, j in Q_k} log(1 + exp(-(s_ik - s_jk)))        s = logits

P_k and Q_k are the examples of the batch with and without label k; K counts the labels that have both. With the 0/1
loss in the place of the logistic one, this is 1 - macro AUC.

logits    [B, C] unnormalised scores            labels    [B, C] indicators; a positive is above 1/2
tile      examples of a tile of pairs, >= 1; null takes all pairs at once. The result is the same; memory is flat in the
          square of the batch, the time somewhat longer
Returns   [] one value for the batch; 0 where no label has both. It does not add over micro-batches
Numerics  softplus of the differences; lossbench/tiled.py, with O(B^2 C) memory without a tile
Paper     Wu et al. 2023, arXiv:2305.05248, the pairwise surrogate with the logistic base loss
Differs   the paper's sums run over the training set, ours over the batch. The authors' code counts only the last pair
          in the objective that it reports, and adds the gradient of the hinge to that of the logistic loss
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from lossbench.tiled import sum_over_pairs


def macro_auc(
    logits: Float[Tensor, "B C"], labels: Float[Tensor, "B C"], *, tile: Annotated[int, Ge(1)] | None = None
) -> Float[Tensor, ""]:
    positive = labels > 0.5
    costs = sum_over_pairs(_costs, (logits, positive), (logits, ~positive), tile)
    number = positive.sum(0) * (~positive).sum(0)
    means = costs / number.clamp(min=1)
    return means.sum() / (number > 0).sum().clamp(min=1)


def _costs(logits: Tensor, positive: Tensor, other_logits: Tensor, negative: Tensor) -> Tensor:
    """[C]: of the pairs of a positive and a negative among these examples."""
    costs = F.softplus(other_logits.unsqueeze(0) - logits.unsqueeze(1))
    return torch.where(positive.unsqueeze(1) & negative.unsqueeze(0), costs, 0).sum((0, 1))
