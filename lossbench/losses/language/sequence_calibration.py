"""Sequence likelihood calibration (SLiC): the likelihood of candidates is brought into the order of their quality.

The likelihood of the reference holds the model where it is.

    l_t = regularization (cross-entropy of the reference's token t)          f_i = log p(candidate i)

    rank        c = mean over pairs with q_i > q_j of max(0, margin - f_i + f_j)
    margin      c = mean over pairs with q_i > q_j of max(0, margin (q_i - q_j) - f_i + f_j)
    list_rank   c = sum_{i < j} max(0, margin (j - i) - f_i + f_j)           in descending order of quality
    reward      c = - sum_i q_i exp(f_i)

logits               [B, T, C] unnormalised scores     targets            [B, T] class indices of the reference
candidate_log_p      [B, S] sums over the tokens       candidate_lengths  [B, S] tokens, >= 1
candidate_qualities  [B, S] q, the larger, the better; equally good ones are no pair, but each has its place
calibration     which of the four
margin          >= 0, beta of the paper
regularization  >= 0, lambda of the paper
length_power    >= 0; f is divided by length^length_power; 0: the sum of the tokens
Returns   {"cross_entropy": [B, T], "calibration": [B]}
Paper     Zhao et al. 2022, arXiv:2210.00045; the values of margin and regularization are our choice
Differs   the paper draws one pair for the first two forms, here all pairs are taken, the expectation of that. Its other
          regularizer, the divergence from the fine-tuned model, is not here. No code of the authors was found
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.ops import masked_mean


def sequence_calibration(
    logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    candidate_log_p: Float[Tensor, "B S"],
    candidate_lengths: Int[Tensor, "B S"],
    candidate_qualities: Float[Tensor, "B S"],
    *,
    calibration: Literal["rank", "margin", "list_rank", "reward"] = "rank",
    margin: Annotated[float, Ge(0)] = 1.0,
    regularization: Annotated[float, Ge(0)] = 0.5,
    length_power: Annotated[float, Ge(0)] = 0.0,
) -> dict[str, Float[Tensor, "..."]]:
    scores = candidate_log_p / candidate_lengths.to(candidate_log_p.dtype) ** length_power
    order = candidate_qualities.sort(dim=-1, descending=True, stable=True).indices
    f, quality = scores.gather(-1, order), candidate_qualities.gather(-1, order)
    pairs = quality.unsqueeze(-1) > quality.unsqueeze(-2)
    behind = f.unsqueeze(-2) - f.unsqueeze(-1)  # [i, j] is f_j - f_i
    if calibration == "reward":
        value = -(quality * f.exp()).sum(-1)
    elif calibration == "list_rank":
        place = torch.arange(f.shape[-1], device=f.device, dtype=f.dtype)
        hinge = (margin * (place - place.unsqueeze(-1)) + behind).clamp(min=0)
        value = torch.where(pairs, hinge, 0.0).sum((-1, -2))
    else:
        gap = quality.unsqueeze(-1) - quality.unsqueeze(-2) if calibration == "margin" else 1.0
        value = masked_mean((margin * gap + behind).clamp(min=0), pairs, (-1, -2))
    return {"cross_entropy": regularization * cross_entropy(logits, targets), "calibration": value}
