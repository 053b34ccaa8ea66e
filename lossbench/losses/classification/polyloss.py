"""Poly-1: cross-entropy with its first polynomial coefficient raised by epsilon.

    l_i = -log p_i + epsilon (1 - p_i)        p_i = softmax(logits_i)[targets_i]

logits    [*, C] unnormalised scores            targets   [*] class indices
epsilon   >= -1; 0 is cross_entropy
Returns   [*] loss per example
Numerics  1 - p_i as -expm1(log p_i), which keeps its gradient as p_i -> 1
Paper     Leng et al. 2022, arXiv:2204.12511, eq. 6
Differs   nothing
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def polyloss(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    *,
    epsilon: Annotated[float, Ge(-1)] = 2.0,
) -> Float[Tensor, "*b"]:
    log_p = true_class_log_p(logits, targets)
    return -log_p - epsilon * log_p.expm1()
