"""Margin-preserving training (MPT): an update that adds classes learns under a handicap against them, from two models.

    cross_entropy             -log softmax(z_i + bias [c > K])[y_i]        z = logits, K the old model's classes
    old_distillation          w_i(old_logits) KL(softmax(old_logits_i / T) || softmax(z_i[1..K] / T))
    independent_distillation  w_i(independent_logits) KL(softmax(independent_logits_i / T) || softmax(z_i / T))
    w_i(t)                    base_weight + focus_weight [argmax_k t_ik = y_i]        T = temperature

The bias raises the new classes' scores in training only: to be right, an old class must lead them by that much more.

logits    [*, C] unnormalised scores            targets   [*] class indices y
old_logits  [*, K] scores of the old model for the first K <= C classes, without gradient
independent_logits  [*, C] scores of a model trained on all classes without regard to the old one, without gradient
bias      added to the scores of the new classes in the cross-entropy; 0 asks no margin
base_weight   >= 0: weight of every example in the distillations
focus_weight  >= 0: added where the model that is distilled is right
temperature   > 0: divides the scores in the distillations; the terms are not multiplied by T^2
Returns   {"cross_entropy": [*], "old_distillation": [*], "independent_distillation": [*]}
Numerics  everything as log-softmax; a class that a frozen model's probability underflows for adds 0
Paper     Ricci et al. 2025, arXiv:2511.08322; the defaults are those of the authors' code
Differs   nothing from the authors' code with its KL. It also has a form with squared differences of scores, not here
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad, true_class_log_p


def margin_preserving(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    old_logits: Float[Tensor, "*b K"],
    independent_logits: Float[Tensor, "*b C"],
    *,
    bias: float = 4.0,
    base_weight: Annotated[float, Ge(0)] = 1.0,
    focus_weight: Annotated[float, Ge(0)] = 5.0,
    temperature: Annotated[float, Gt(0)] = 5.0,
) -> dict[str, Float[Tensor, "*b"]]:
    old_classes = old_logits.shape[-1]
    is_new = (torch.arange(logits.shape[-1], device=logits.device) >= old_classes).to(logits.dtype)

    def distillation(frozen: Tensor, scores: Tensor) -> Tensor:
        weights = base_weight + focus_weight * (frozen.argmax(-1) == targets).to(logits.dtype)
        log_p = stopgrad(frozen / temperature).log_softmax(-1)
        return weights * kl_divergence(log_p, (scores / temperature).log_softmax(-1))

    return {
        "cross_entropy": -true_class_log_p(logits + bias * is_new, targets),
        "old_distillation": distillation(old_logits, logits[..., :old_classes]),
        "independent_distillation": distillation(independent_logits, logits),
    }
