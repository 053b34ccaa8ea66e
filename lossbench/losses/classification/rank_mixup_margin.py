"""RankMixup (MRL): cross-entropy, and mixed inputs that must score lower, by a margin, than the inputs themselves.

    cross_entropy   -log softmax(logits_i)[y_i]
    ranking         weight 1/S sum_s [a_is < 1] max(0, max_c mixed_logits_isc - max_c logits_ic + margin)

logits    [B, C] unnormalised scores            targets   [B] class indices y
mixed_logits  [B, S, C] scores of the mixes of each input
mixing_coefficients  [B, S] largest entry a_is of the label of each mix; 1 (both inputs of one class) asks nothing
margin    in units of the scores
weight    >= 0; 0 is cross_entropy
Returns   {"cross_entropy": [B], "ranking": [B]}
Numerics  log-softmax for the cross-entropy; the largest scores are compared as they are
Paper     Noh et al. 2023, arXiv:2308.11990; margin 2 and weight 0.1 are theirs for CIFAR-10, with one mix
Differs   their code multiplies a row with a column, so that its ranking term is the product of two means, of the mask
          and of the hinges, where some mix has two inputs of one class. Here it is the mean of their products
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def rank_mixup_margin(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    mixed_logits: Float[Tensor, "B S C"],
    mixing_coefficients: Float[Tensor, "B S"],
    *,
    margin: float = 2.0,
    weight: Annotated[float, Ge(0)] = 0.1,
) -> dict[str, Float[Tensor, "B"]]:
    hinges = (mixed_logits.amax(-1) - logits.amax(-1, keepdim=True) + margin).clamp(min=0)
    ranking = torch.where(mixing_coefficients < 1, hinges, 0).mean(-1)
    return {"cross_entropy": -true_class_log_p(logits, targets), "ranking": weight * ranking}
