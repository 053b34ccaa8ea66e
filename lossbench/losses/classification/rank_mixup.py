"""RankMixup (M-NDCG): cross-entropy, and the confidences of mixed inputs ordered like their mixing coefficients.

    cross_entropy   -log softmax(logits_i)[y_i]
    ranking         weight (1 - min(DCG_i, IDCG_i) / max(DCG_i, IDCG_i))
    DCG_i           max_c p_ic + sum_{r=1..S} max_c q_i(r)c / log2(r + 2)        p_i = softmax(logits_i)
    IDCG_i          1 + sum_{r=1..S} a_i(r) / log2(r + 2)        q_is = softmax(mixed_logits_is), a_i(1) >= a_i(2) ...

The S mixes of an input come in the order (1), (2), ... of their coefficients a_is = mixing_coefficients_is, after the
input itself, whose coefficient is 1: so confidences equal to the coefficients, and 1 for the input, cost nothing.

logits    [B, C] unnormalised scores            targets   [B] class indices y
mixed_logits  [B, S, C] scores of the mixes of each input
mixing_coefficients  [B, S] largest entry of the label of each mix
weight    >= 0; 0 is cross_entropy
Returns   {"cross_entropy": [B], "ranking": [B]}
Numerics  log-softmax for the cross-entropy; the ratio is of sums of at least 1 / C
Paper     Noh et al. 2023, arXiv:2308.11990; weight 0.1 and three mixes are theirs
Differs   nothing; their code was compared. The one with margins between pairs is rank_mixup_margin
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def rank_mixup(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    mixed_logits: Float[Tensor, "B S C"],
    mixing_coefficients: Float[Tensor, "B S"],
    *,
    weight: Annotated[float, Ge(0)] = 0.1,
) -> dict[str, Float[Tensor, "B"]]:
    coefficients, order = mixing_coefficients.sort(stable=True, dim=-1, descending=True)
    confidences = mixed_logits.softmax(-1).amax(-1).gather(-1, order)
    discounts = torch.arange(3, coefficients.shape[-1] + 3, device=logits.device).to(logits.dtype).log2()
    gain = logits.softmax(-1).amax(-1) + (confidences / discounts).sum(-1)
    ideal = 1 + (coefficients.to(logits.dtype) / discounts).sum(-1)
    ratio = torch.where(ideal > gain, gain / ideal, ideal / gain)
    return {"cross_entropy": -true_class_log_p(logits, targets), "ranking": weight * (1 - ratio)}
