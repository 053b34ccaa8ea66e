"""Smooth AUROC: the part of the pairs of a positive and a negative in the wrong order, with a sigmoid for the step.

    l = mean over positives i and negatives j of sigmoid((s_j - s_i) / temperature)

1 - AUROC is the mean over the positives of the false positive rate at their score: every wrong pair counts the same.

logits       [B, C] unnormalised scores           targets     [B] class indices
temperature  > 0; towards 0 the loss is 1 - AUROC of the batch
Returns      [] one value for the batch: of two classes, s is the log-odds of class 1 against class 0; of more, the mean
             over the classes of each against the rest. 0 where no class has positives and negatives in the batch
Numerics     O(B^2 C) memory; bounded, so that a pair that is far wrong has next to no gradient
Paper        McDermott et al. 2024, arXiv:2401.06091, theorem 1 (the form of the AUROC)
Differs      the paper optimises the metric itself; the sigmoid is the usual smoothing of the step
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_against_rest


def smooth_auroc(
    logits: Float[Tensor, "B C"], targets: Int[Tensor, "B"], *, temperature: Annotated[float, Gt(0)] = 1.0
) -> Float[Tensor, ""]:
    scores, positive = one_against_rest(logits, targets)
    above = torch.sigmoid((scores.unsqueeze(0) - scores.unsqueeze(1)) / temperature)  # [i, j, K]: j above i
    pairs = positive.unsqueeze(1) & ~positive.unsqueeze(0)
    number = pairs.sum((0, 1))
    means = torch.where(pairs, above, 0).sum((0, 1)) / number.clamp(min=1)
    return means.sum() / (number > 0).sum().clamp(min=1)
