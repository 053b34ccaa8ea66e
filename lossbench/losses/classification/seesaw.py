"""Seesaw: cross-entropy in which frequent classes push rarer ones down less, unless they are wrongly preferred.

    l_i = -log( exp(z_y) / (exp(z_y) + sum_{c != y} S_yc exp(z_c)) )        z = logits_i,  y = targets_i
    S_yc = min(n_c / n_y, 1)^mitigation  max(p_c / p_y, 1)^compensation        p = softmax(z), without gradient

logits    [*, C] unnormalised scores            targets   [*] class indices y
class_counts   [C] training examples n of each class
mitigation     >= 0 (the paper's p): negatives of a class rarer than y count less
compensation   >= 0 (the paper's q): negatives that are more likely than y count more; both 0 is cross_entropy
Returns   [*] loss per example
Numerics  S by its logarithm, added to the logits; p_y is at least 1e-2, as in the released code
Paper     Wang et al. 2020, arXiv:2008.10032; mitigation = 0.8 and compensation = 2 are its choice
Differs   n is the number of training examples from the beginning; the paper counts the examples seen so far. Its
          objectness branch and normalised head belong to detectors and are not part of this loss
"""

import math
from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot, stopgrad, true_class_log_p

SMALLEST_P = 1e-2


def seesaw(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    class_counts: Float[Tensor, "C"],
    *,
    mitigation: Annotated[float, Ge(0)] = 0.8,
    compensation: Annotated[float, Ge(0)] = 2.0,
) -> Float[Tensor, "*b"]:
    log_n = class_counts.log()
    rarer = (log_n - log_n[targets].unsqueeze(-1)).clamp(max=0)
    log_p = stopgrad(logits).log_softmax(-1)
    log_p_y = log_p.gather(-1, targets.unsqueeze(-1)).clamp(min=math.log(SMALLEST_P))
    preferred = (log_p - log_p_y).clamp(min=0)
    others = 1 - one_hot(targets, logits.shape[-1], logits.dtype)
    return -true_class_log_p(logits + others * (mitigation * rarer + compensation * preferred), targets)
