"""Smooth average precision: the false part of what is ranked as high as each positive, with a sigmoid for the step.

    l = mean over positives i of  sum_{j negative} h_ij / (1 + sum_{j not i} h_ij)
    h_ij = sigmoid((s_j - s_i) / temperature)

1 - average precision is the mean over the positives of the false positives at their score, divided by all that is
ranked as high: a wrong pair counts the more, the higher it is ranked.

logits       [B, C] unnormalised scores           targets     [B] class indices
temperature  > 0; towards 0 the loss is 1 - average precision of the batch
Returns      [] one value for the batch: of two classes, s is the log-odds of class 1 against class 0; of more, the mean
             over the classes of each against the rest. 0 where no class has positives and negatives in the batch
Numerics     O(B^2 C) memory; bounded, so that a pair that is far wrong has next to no gradient
Paper        Brown et al. 2020, arXiv:2007.12163, Smooth-AP; McDermott et al. 2024, arXiv:2401.06091, theorem 1 (the
             form of the area under the precision-recall curve)
Differs      Smooth-AP ranks cosine similarities to a query, with temperature 0.01
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_against_rest


def smooth_average_precision(
    logits: Float[Tensor, "B C"], targets: Int[Tensor, "B"], *, temperature: Annotated[float, Gt(0)] = 1.0
) -> Float[Tensor, ""]:
    scores, positive = one_against_rest(logits, targets)
    above = torch.sigmoid((scores.unsqueeze(0) - scores.unsqueeze(1)) / temperature)  # [i, j, K]: j above i
    itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device).unsqueeze(-1)
    as_high = 1 + torch.where(itself, 0, above).sum(1)
    false_part = torch.where(positive.unsqueeze(0), 0, above).sum(1) / as_high
    number = positive.sum(0)
    means = torch.where(positive, false_part, 0).sum(0) / number.clamp(min=1)
    both = (number > 0) & (number < len(scores))
    return means.sum() / both.sum().clamp(min=1)
