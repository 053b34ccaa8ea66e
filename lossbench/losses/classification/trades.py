"""TRADES: cross-entropy of the inputs as they are plus how far an attack moves the predicted probabilities.

    cross_entropy   -log p_i[y_i]                      p_i = softmax(clean_logits_i)
    robust          weight KL(p_i || p'_i)             p'_i = softmax(adversarial_logits_i)

clean_logits        [B, C] scores of x_i              targets   [B] class indices y
adversarial_logits  [B, C] scores of x'_i, where an attack has made KL(p_i || p'_i) large (loss@task.attack_loss=trades)
weight    >= 0, 1 / lambda in the paper; 0 is cross_entropy
Returns   {"cross_entropy": [B], "robust": [B]}
Numerics  both sides as log-softmax
Paper     Zhang et al. 2019, arXiv:1901.08573; weight = 6 is the authors' choice for CIFAR-10
Differs   nothing in the loss: as in the authors' code, gradient flows through both sides of the KL. There an attack
          starts at x plus noise of deviation 0.001, not at a random point of the ball (task.random_start)
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import kl_divergence, true_class_log_p


def trades(
    clean_logits: Float[Tensor, "B C"],
    adversarial_logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    *,
    weight: Annotated[float, Ge(0)] = 6.0,
) -> dict[str, Float[Tensor, "B"]]:
    return {
        "cross_entropy": -true_class_log_p(clean_logits, targets),
        "robust": weight * kl_divergence(clean_logits.log_softmax(-1), adversarial_logits.log_softmax(-1)),
    }
