"""Brier: the squared distance between the predicted probabilities and the true class's indicator.

    l_i = sum_c (p_i[c] - [c = y_i])^2        p_i = softmax(logits_i)

logits    [*, C] unnormalised scores            targets   [*] class indices y
Returns   [*] loss per example, in [0, 2]
Numerics  1 - p_i[y_i] as the sum of the other probabilities, which does not cancel as p_i[y_i] -> 1. The loss is
          bounded, so its gradient vanishes where the model is confident, be it right or wrong
Paper     Brier 1950, Verification of forecasts expressed in terms of probability, eq. 2
Differs   nothing; for two classes this is twice the squared error of one probability, which is also called Brier score
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot


def brier(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    p = logits.softmax(-1)
    wrong = torch.where(one_hot(targets, logits.shape[-1], torch.bool), 0, p)
    return wrong.sum(-1).square() + wrong.square().sum(-1)
