"""SCORE: squared error of the probabilities plus the squared distance that an attack moves them.

    brier    sum_c (p_i[c] - [c = y_i])^2              p_i = softmax(clean_logits_i)
    robust   weight sum_c (p'_i[c] - p_i[c])^2         p'_i = softmax(adversarial_logits_i)

A distance in the place of TRADES' KL: the robust error then is bounded by the sum of the two, and a model that has the
true probabilities everywhere has none (self-consistent robust error).

clean_logits        [B, C] scores of x_i              targets   [B] class indices y
adversarial_logits  [B, C] scores of x'_i, where an attack has made the distance large (loss@task.attack_loss=score)
weight    >= 0, beta in the paper; 0 is brier
Returns   {"brier": [B], "robust": [B]}
Numerics  brier as in the loss of that name. Both terms are bounded, so their gradients vanish where the model is
          certain, be it right or wrong
Paper     Pang et al. 2022, arXiv:2202.10103; weight = 3 and 4 are theirs for CIFAR-10
Differs   nothing: as in the authors' code the squares are summed over the classes, and gradient flows through both p
          and p'. Its label smoothing, which their recipe sets to 0, is left out
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.classification.brier import brier


def score(
    clean_logits: Float[Tensor, "B C"],
    adversarial_logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    *,
    weight: Annotated[float, Ge(0)] = 3.0,
) -> dict[str, Float[Tensor, "B"]]:
    distance = (adversarial_logits.softmax(-1) - clean_logits.softmax(-1)).square().sum(-1)
    return {"brier": brier(clean_logits, targets), "robust": weight * distance}
