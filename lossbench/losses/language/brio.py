"""BRIO: likelihood of the reference, and the better of two candidates is the likelier one, by a margin.

The margin grows with the places between the two.

    l_t = smoothed cross-entropy of the reference's token t
    r   = weight sum_{i < j} max(0, f_j - f_i + (j - i) margin)          candidates in descending order of quality
    f_i = log p(candidate i) / length_i^length_power

logits               [B, T, C] unnormalised scores     targets            [B, T] class indices of the reference
candidate_log_p      [B, S] sums over the tokens       candidate_lengths  [B, S] tokens, >= 1
candidate_qualities  [B, S] the larger, the better; equally good ones are no pair, but each has its place
weight        >= 0; 0 is cross-entropy with this smoothing
margin        >= 0, for neighbours in the order
length_power  >= 0; 0: the sum of the tokens, 1: their mean
smoothing     in [0, 1], of the cross-entropy
Returns   {"cross_entropy": [B, T], "ranking": [B]}
Paper     Liu et al. 2022, arXiv:2203.16804; 100, 0.001, 2 and 0.1 are the values of the authors' code for CNN/DailyMail
Differs   the authors' code takes the mean over all pairs of the same distance j - i, and the sum over the distances;
          here the sum over all pairs, as the paper. What happens to ties is our choice
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.classification.cross_entropy import cross_entropy


def brio(
    logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    candidate_log_p: Float[Tensor, "B S"],
    candidate_lengths: Int[Tensor, "B S"],
    candidate_qualities: Float[Tensor, "B S"],
    *,
    weight: Annotated[float, Ge(0)] = 100.0,
    margin: Annotated[float, Ge(0)] = 0.001,
    length_power: Annotated[float, Ge(0)] = 2.0,
    smoothing: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> dict[str, Float[Tensor, "..."]]:
    scores = candidate_log_p / candidate_lengths.to(candidate_log_p.dtype) ** length_power
    order = candidate_qualities.sort(dim=-1, descending=True, stable=True).indices
    f, quality = scores.gather(-1, order), candidate_qualities.gather(-1, order)
    place = torch.arange(f.shape[-1], device=f.device, dtype=f.dtype)
    apart = place - place.unsqueeze(-1)  # [i, j] is j - i
    hinge = (f.unsqueeze(-2) - f.unsqueeze(-1) + apart * margin).clamp(min=0)
    pairs = quality.unsqueeze(-1) > quality.unsqueeze(-2)
    return {
        "cross_entropy": cross_entropy(logits, targets, smoothing=smoothing),
        "ranking": weight * torch.where(pairs, hinge, 0.0).sum((-1, -2)),
    }
