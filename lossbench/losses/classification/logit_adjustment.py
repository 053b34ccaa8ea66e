"""Logit adjustment: cross-entropy of logits to which the logarithm of each class's frequency is added in training.

    l_i = -log softmax(logits_i + weight log pi)[targets_i]        pi_c = n_c / sum_j n_j

logits    [*, C] unnormalised scores            targets   [*] class indices
class_counts   [C] training examples n of each class
weight    >= 0 (the paper's tau); 0 is cross_entropy, 1 is consistent with the balanced error
Returns   [*] loss per example. Predictions are made from the logits alone, as for balanced data
Numerics  log-softmax
Paper     Menon et al. 2020, arXiv:2007.07314, the logit adjusted loss
Differs   nothing; its other form, which adjusts the logits of a trained model, is not this loss
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def logit_adjustment(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    class_counts: Float[Tensor, "C"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
) -> Float[Tensor, "*b"]:
    log_prior = (class_counts / class_counts.sum()).log()
    return -true_class_log_p(logits + weight * log_prior, targets)
