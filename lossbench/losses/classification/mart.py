"""MART: adversarial training that pushes the best wrong class down, and asks most of examples the model gets wrong.

    boosted_cross_entropy   -log p'_i[y_i] - log(1 - max_{c != y_i} p'_i[c])     p'_i = softmax(adversarial_logits_i)
    robust                  weight KL(p_i || p'_i) (1 - p_i[y_i])                p_i = softmax(clean_logits_i)

clean_logits        [B, C] scores of x_i              targets   [B] class indices y
adversarial_logits  [B, C] scores of x'_i, where an attack has made the cross-entropy large
weight    >= 0, lambda in the paper
Returns   {"boosted_cross_entropy": [B], "robust": [B]}
Numerics  1 - max p' as a log-sum-exp over the other classes; 1 - p_i[y_i] as -expm1(log p_i[y_i])
Paper     Wang et al. 2020, Improving adversarial robustness requires revisiting misclassified examples, ICLR;
          weight = 6 is the default of the authors' code
Differs   the authors' code adds 1e-12 to 1e-4 within the logarithms and to 1 - p_i[y_i]; here they are exact
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import kl_divergence, one_hot, true_class_log_p


def mart(
    clean_logits: Float[Tensor, "B C"],
    adversarial_logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    *,
    weight: Annotated[float, Ge(0)] = 6.0,
) -> dict[str, Float[Tensor, "B"]]:
    log_p, adversarial = clean_logits.log_softmax(-1), adversarial_logits.log_softmax(-1)
    num_classes = adversarial.shape[-1]
    best_wrong = adversarial.masked_fill(one_hot(targets, num_classes, torch.bool), -torch.inf).argmax(-1)
    log_rest = adversarial.masked_fill(one_hot(best_wrong, num_classes, torch.bool), -torch.inf).logsumexp(-1)
    doubt = -true_class_log_p(clean_logits, targets).expm1()
    return {
        "boosted_cross_entropy": -true_class_log_p(adversarial_logits, targets) - log_rest,
        "robust": weight * kl_divergence(log_p, adversarial) * doubt,
    }
