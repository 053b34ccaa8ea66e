"""Adaptive ranking: likelihood of the reference, and a ranking of candidates with logarithmic margins.

The margin of two candidates grows with the logarithm of the places between them.

    l_t = smoothed cross-entropy of the reference's token t
    r   = weight mean over pairs with q_i > q_j of max(0, scale (margin + log(r_i - r_j)) - f_i + f_j)
    f_i = log p(candidate i) / length_i^length_power         r_i = number of candidates of a smaller quality

logits               [B, T, C] unnormalised scores     targets            [B, T] class indices of the reference
candidate_log_p      [B, S] sums over the tokens       candidate_lengths  [B, S] tokens, >= 1
candidate_qualities  [B, S] q, the larger, the better; equally good candidates share a rank and are no pair
weight        >= 0; 0 is cross-entropy with this smoothing
margin        >= 0, added to the logarithm
scale         >= 0, of the whole margin
length_power  >= 0; 1: the mean of the tokens
smoothing     in [0, 1], of the cross-entropy
Returns   {"cross_entropy": [B, T], "ranking": [B]}
Paper     Liu et al. 2023, arXiv:2305.14239; 100, log 2, 0.01, 1 and 0.1 are the values of the authors' code, from which
          the formula is too
Differs   the authors' code takes the mean over the pairs of the whole batch and is NaN where no pair is, here the mean
          over an example's own pairs, 0 without any. Ranks there come from a language model, here from the quality
"""

import math
from typing import Annotated

from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.ops import masked_mean


def adaptive_ranking(
    logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    candidate_log_p: Float[Tensor, "B S"],
    candidate_lengths: Int[Tensor, "B S"],
    candidate_qualities: Float[Tensor, "B S"],
    *,
    weight: Annotated[float, Ge(0)] = 100.0,
    margin: Annotated[float, Ge(0)] = math.log(2),
    scale: Annotated[float, Ge(0)] = 0.01,
    length_power: Annotated[float, Ge(0)] = 1.0,
    smoothing: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> dict[str, Float[Tensor, "..."]]:
    f = candidate_log_p / candidate_lengths.to(candidate_log_p.dtype) ** length_power
    pairs = candidate_qualities.unsqueeze(-1) > candidate_qualities.unsqueeze(-2)  # [i, j]: i is the better one
    ranks = pairs.sum(-1)
    apart = (ranks.unsqueeze(-1) - ranks.unsqueeze(-2)).clamp(min=1).to(f.dtype)
    hinge = (scale * (margin + apart.log()) - f.unsqueeze(-1) + f.unsqueeze(-2)).clamp(min=0)
    return {
        "cross_entropy": cross_entropy(logits, targets, smoothing=smoothing),
        "ranking": weight * masked_mean(hinge, pairs, (-1, -2)),
    }
