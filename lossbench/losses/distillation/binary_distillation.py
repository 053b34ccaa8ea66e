"""Binary distillation: cross-entropy, and each class's score drawn to the teacher's as a problem of its own.

    cross_entropy   -log softmax(logits_i)[y_i]
    distillation    alpha T^2 sum_c KL(1/2 || sigmoid((logits_ic - teacher_logits_ic) / T))        T = temperature

KL(1/2 || d) is that of two Bernoulli distributions, log cosh(u / 2) for d = sigmoid(u): a robust squared distance of
the scores, which sees what a softmax does not, their common level.

logits    [*, C] unnormalised scores            targets   [*] class indices y
teacher_logits  [*, C] scores of the teacher, without gradient
alpha     >= 0; 0 is cross_entropy
temperature  > 0: where the square becomes an absolute value
Returns   {"cross_entropy": [*], "distillation": [*]}
Numerics  log cosh(u / 2) = softplus(-|u|) + |u| / 2 - log 2
Paper     Yang et al. 2024, arXiv:2411.08937 (BinaryKL-Norm on a single head), and the authors' code
Differs   the code clamps the sigmoid at 1e-8 and 1 - 1e-8, which ends the gradient for score differences above 18 T
"""

import math
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import stopgrad, true_class_log_p


def binary_distillation(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    alpha: Annotated[float, Ge(0)] = 1.0,
    temperature: Annotated[float, Gt(0)] = 2.0,
) -> dict[str, Float[Tensor, "*b"]]:
    distance = ((logits - stopgrad(teacher_logits)) / temperature).abs()
    divergence = F.softplus(-distance) + distance / 2 - math.log(2)
    return {
        "cross_entropy": -true_class_log_p(logits, targets),
        "distillation": alpha * temperature**2 * divergence.sum(-1),
    }
