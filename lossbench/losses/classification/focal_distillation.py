"""Focal distillation (PCT): cross-entropy, and agreement with an old model, most of all where that one was right.

    cross_entropy   -log softmax(logits_i)[y_i]
    distillation    (base_weight + focus_weight [argmax_k old_logits_ik = y_i]) KL(softmax(old_logits_i / T) || q_i)
    q_i             softmax(logits_i[1..K] / T)        T = temperature, K the old model's classes

logits    [*, C] unnormalised scores            targets   [*] class indices y
old_logits  [*, K] scores of the old model for the first K <= C classes, without gradient
base_weight   >= 0: weight of every example
focus_weight  >= 0: added where the old model is right
temperature   > 0: divides both scores; the term is not multiplied by T^2
Returns   {"cross_entropy": [*], "distillation": [*]}
Numerics  both sides as log-softmax; a class that the old model's probability underflows for adds 0
Paper     Yan et al. 2021, arXiv:2011.09161 (FD-KL), for classes that stay; for added classes, and with the defaults,
          Ricci et al. 2025, arXiv:2511.08322, who have it as a baseline
Differs   nothing from the code of the latter. The former also has a form on logits, not here
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad, true_class_log_p


def focal_distillation(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    old_logits: Float[Tensor, "*b K"],
    *,
    base_weight: Annotated[float, Ge(0)] = 1.0,
    focus_weight: Annotated[float, Ge(0)] = 5.0,
    temperature: Annotated[float, Gt(0)] = 5.0,
) -> dict[str, Float[Tensor, "*b"]]:
    weights = base_weight + focus_weight * (old_logits.argmax(-1) == targets).to(logits.dtype)
    old = stopgrad(old_logits / temperature).log_softmax(-1)
    new = (logits[..., : old_logits.shape[-1]] / temperature).log_softmax(-1)
    return {
        "cross_entropy": -true_class_log_p(logits, targets),
        "distillation": weights * kl_divergence(old, new),
    }
