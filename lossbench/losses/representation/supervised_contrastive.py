"""Supervised contrastive: each embedding is drawn to those of its own class in the batch, away from all others.

    l_i = 1 / |P_i| sum_{j in P_i} log sum_{k != i} exp((<h_i, h_k> - <h_i, h_j>) / temperature)
    P_i = {j != i: y_j = y_i},  y = targets        h = embeddings of unit length

embeddings   [B, D], normalised here            targets   [B] class indices y
temperature  > 0
Returns   [B] loss of each anchor; 0 for one that is alone in its class. It does not add over micro-batches
Numerics  log-sum-exp over the others; O(B^2) memory. The zero vector stays zero, and gets no gradient
Paper     Khosla et al. 2020, arXiv:2004.11362, the form with the sum outside of the logarithm; a single view of each
          example as in Kini et al. 2023, arXiv:2306.07960; temperature = 0.1
Differs   the paper's views are two augmentations of each example. The paper sums over the anchors, here the reduction
          takes the mean; the authors' code also multiplies by temperature / 0.07
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import normalize


def supervised_contrastive(
    embeddings: Float[Tensor, "B D"], targets: Int[Tensor, "B"], *, temperature: Annotated[float, Gt(0)] = 0.1
) -> Float[Tensor, "B"]:
    h = normalize(embeddings)
    similarities = h @ h.mT / temperature
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    positive = (targets.unsqueeze(1) == targets.unsqueeze(0)) & ~itself
    number = positive.sum(-1)
    # An anchor that is alone has no others to normalise over: itself is then as good as anything, its loss is 0.
    left_out = itself & (len(targets) > 1)
    log_others = similarities.masked_fill(left_out, -torch.inf).logsumexp(-1)
    mean_positive = torch.where(positive, similarities, 0).sum(-1) / number.clamp(min=1)
    return torch.where(number > 0, log_others - mean_positive, 0)
