"""Correctness-aware: confidence should be 1 where the prediction is right and 0 where it is wrong.

    l_i = (c_i - max_k p_ik)^2        p_i = softmax(logits_i), c_i = 1 if argmax_k p_ik = y_i, else 0

logits    [*, C] unnormalised scores            targets   [*] class indices y
Returns   [*] loss per example, in [0, 1]
Numerics  1 - max p as the sum of the other probabilities, which does not cancel as max p -> 1. Of equal largest scores
          the first is the prediction. The loss is bounded, so its gradient vanishes where the model is confident; and
          it does not say which class would be right: it is made for calibrators, which keep the order of the classes
Paper     Liu et al. 2024, arXiv:2404.13016; the squared form is that of the authors' code, the text could not be had
Differs   the authors' code weighs the examples by 1 - a where right and a where wrong, a being the accuracy in the
          batch, and divides by the sum of these; where all or none are right this is 0 / 0. Here all weigh the same
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot


def correctness_aware(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    predicted = logits.argmax(-1)
    p = logits.softmax(-1)
    confidence = p.gather(-1, predicted.unsqueeze(-1)).squeeze(-1)
    doubt = torch.where(one_hot(predicted, logits.shape[-1], torch.bool), 0, p).sum(-1)
    return torch.where(predicted == targets, doubt, confidence).square()
