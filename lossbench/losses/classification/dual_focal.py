"""Dual focal: focal loss whose weight also sees the strongest class below the true one.

    l_i = (1 - p_i[y_i] + q_i)^gamma (-log p_i[y_i])        p_i = softmax(logits_i)
    q_i = max { p_i[c] : p_i[c] < p_i[y_i] }, 0 where the true class is the least likely

logits    [*, C] unnormalised scores            targets   [*] class indices y
gamma     >= 0; 0 is cross_entropy
Returns   [*] loss per example
Numerics  1 - p[y] as -expm1(log p[y]); the power of 0 is kept from its infinite gradient. Which classes lie below the
          true one is decided on the logits, where equal is equal
Paper     Tao et al. 2023, arXiv:2305.13665; gamma is chosen on validation there, around 5 for CIFAR
Differs   the authors' code sums over the batch; here the reduction divides. As theirs, q keeps its gradient
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def dual_focal(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    *,
    gamma: Annotated[float, Ge(0)] = 5.0,
) -> Float[Tensor, "*b"]:
    log_p = true_class_log_p(logits, targets)
    below = logits < logits.gather(-1, targets.unsqueeze(-1))
    second = torch.where(below, logits.softmax(-1), 0).amax(-1)
    base = second - log_p.expm1()
    certain = base <= 0
    weight = torch.where(certain, 0, torch.where(certain, 1, base).pow(gamma))
    return -log_p * weight
