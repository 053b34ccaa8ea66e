"""Squentropy: cross-entropy plus the mean squared score of the wrong classes.

    l_i = -log p_i + 1 / (C - 1) sum_{c != y_i} logits_i[c]^2        p_i = softmax(logits_i)[y_i]

logits    [*, C] unnormalised scores            targets   [*] class indices y
Returns   [*] loss per example; no hyper-parameter. Not invariant to a shift of the scores
Numerics  the true class is left out of the sum instead of taken off it, which would cancel where its score is large;
          a single class has no wrong ones: the sum is then 0
Paper     Hui, Belkin and Wright 2023, arXiv:2302.03952
Differs   nothing in the expression; the authors' code takes the true class's square off the sum over all classes
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot, true_class_log_p


def squentropy(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    num_classes = logits.shape[-1]
    true_class = one_hot(targets, num_classes, torch.bool)
    wrong = torch.where(true_class, 0, logits)
    return wrong.square().sum(-1) / max(num_classes - 1, 1) - true_class_log_p(logits, targets)
