"""Focal: cross-entropy weighted down by (1 - p)^gamma where the true class is already likely.

    l_i = alpha[y_i] (1 - p_i)^gamma (-log p_i)        p_i = softmax(logits_i)[y_i]

logits    [*, C] unnormalised scores            targets   [*] class indices y
gamma     >= 0; 0 is cross_entropy
alpha     [C] class weights >= 0; null is 1 for every class
Returns   [*] loss per example
Numerics  (1 - p_i)^gamma as exp(gamma log(1 - p_i)), with log(1 - p_i) from log p_i: for gamma < 1 the power's own
          gradient is infinite at p_i = 1, where it would meet -log p_i = 0 and give NaN
Paper     Lin et al. 2017, arXiv:1708.02002, eq. 4 and 5
Differs   the paper has independent sigmoids (alpha for foreground, 1 - alpha for background) and divides by the number
          of foreground boxes; here softmax over C classes, one weight per class, and the reduction divides
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import log1mexp, true_class_log_p


def focal(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    *,
    gamma: Annotated[float, Ge(0)] = 2.0,
    alpha: Float[Tensor, "C"] | None = None,
) -> Float[Tensor, "*b"]:
    log_p = true_class_log_p(logits, targets)
    loss = -log_p * (gamma * log1mexp(log_p)).exp()
    return loss if alpha is None else alpha[targets] * loss
