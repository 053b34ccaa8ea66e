"""Token importance (TIP): of each sequence only the tokens count that have most to learn from.

    s_t = h_t + d_t - h_t d_t        w_t = number / kept for the tokens of a sequence with the largest s_t, otherwise 0
    h_t   entropy of the student                  d_t   KL(student || teacher)

Both are clipped at their 98th percentile in the batch and brought to [0, 1] by its least and its largest value: a token
counts where the student is unsure, or sure of something else than the teacher. kept = ceil(fraction number) of the
``number`` tokens of a sequence that the mask counts.

logits    [B, T, C] unnormalised scores of the student
teacher_logits  [B, T, C] scores of the teacher        mask      [B, T] true where a token counts
fraction  in (0, 1]; 1 keeps all
score     both: s_t; entropy: h_t alone; divergence: d_t alone
Returns   [B, T] weight of each token: with equal lengths the mean over all tokens is that over the kept ones
Numerics  where all tokens have the same value, it counts as 0; of equal scores the first tokens are kept
Paper     Xu et al. 2026, arXiv:2604.14084; fraction 0.5
Differs   the paper's formula is known from notes on it; the authors' code samples tokens by their entropy instead
"""

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import kl_divergence
from lossbench.reweightings.kept_tokens import largest

PERCENTILE = 0.98


def token_importance(
    logits: Float[Tensor, "B T C"],
    teacher_logits: Float[Tensor, "B T C"],
    mask: Bool[Tensor, "B T"],
    *,
    fraction: Annotated[float, Interval(gt=0, le=1)] = 0.5,
    score: Literal["both", "entropy", "divergence"] = "both",
) -> Float[Tensor, "B T"]:
    student = logits.log_softmax(-1)
    entropy = _to_unit(-(student.exp() * student).sum(-1), mask)
    divergence = _to_unit(kl_divergence(student, teacher_logits.log_softmax(-1)), mask)
    scores = {"both": entropy + divergence - entropy * divergence, "entropy": entropy, "divergence": divergence}
    return largest(scores[score], mask, fraction)


def _to_unit(values: Tensor, mask: Tensor) -> Tensor:
    """[B, T] clipped at the percentile, from the least value at 0 to the largest at 1, of those under the mask."""
    ordered = torch.where(mask, values, torch.inf).flatten().sort().values
    place = PERCENTILE * (mask.sum() - 1).clamp(min=0)
    below = place.floor().long()
    at, after = (ordered.gather(0, k.clamp(max=len(ordered) - 1).unsqueeze(0)) for k in (below, below + 1))
    part = place - below
    high = torch.where(part > 0, at + part * (after - at), at)  # as torch.quantile interpolates
    low = ordered[:1]
    width = high - low
    constant = ~((width > 0) & width.isfinite())
    return torch.where(constant, 0.0, (values.clamp(max=high) - low) / torch.where(constant, 1.0, width))
