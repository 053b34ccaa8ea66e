"""Balanced softmax: cross-entropy of a softmax in which each class is multiplied by its number of training examples.

    l_i = -log( n_y exp(logits_i[y]) / sum_c n_c exp(logits_i[c]) )        y = targets_i

logits    [*, C] unnormalised scores            targets   [*] class indices y
class_counts   [C] training examples n of each class
Returns   [*] loss per example; no hyper-parameter. Predictions are made from the logits alone, as for balanced data
Numerics  log-softmax of logits + log n
Paper     Ren et al. 2020, arXiv:2007.10740
Differs   nothing; the paper's meta-sampler is not part of it. It is logit_adjustment with weight 1
"""

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def balanced_softmax(
    logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"], class_counts: Float[Tensor, "C"]
) -> Float[Tensor, "*b"]:
    return -true_class_log_p(logits + class_counts.log(), targets)
