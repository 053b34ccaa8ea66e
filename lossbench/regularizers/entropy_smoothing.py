"""Entropy smoothing (EPO): a bonus for entropy, and a penalty where it leaves a band around its mean so far.

    entropy     -weight H_t
    smoothing   weight strength phase P_t
    indicator   P_t = penalty [not low M < H_t < high M]
    hinge       P_t = penalty (max(0, H_t / M - high) + max(0, low - H_t / M))

M is the mean, over all steps before, of the mean entropy of a batch; there is no penalty before there is one. An
indicator has no gradient: with it, training is that with the bonus alone, and only the recorded loss tells the two
apart. The hinge is the same penalty, growing from the ends of the band.

token_entropies   [B, T] of the policy         mask   [B, T] true where a token counts
progress   in [0, 1): part of the training that is done
state      {"total": [], "count": []} the sum of the mean entropies of the batches so far, and their number; 0 at first
weight     >= 0 (the paper's lambda); 0 is no regularizer
strength   >= 0, of the penalty; 0 is confidence_penalty
penalty    >= 0, outside of the band
low, high  >= 0, the ends of the band in units of M
level      token: the entropy of each; sequence: the mean over its completion
form       indicator or hinge
phase      decaying: 1 - 0.2 (1 - exp(-4 progress)) in the first half, 0.8 exp(-6 (progress - 1/2)) in the second;
           constant: 1
Returns    {"entropy": [B, T], "smoothing": [B, T]} and the new state
Numerics   M is at least 1e-4
Paper      Xu et al. 2025, arXiv:2509.22576; 0.001, 1, 0.1, 0 and 2 are those of the authors' runs
Differs    the phase is that of the authors' code, whose formula is not the paper's. The hinge is ours, to have a
           penalty that does something. There, M belongs to a turn of a conversation, and the penalty is only there in
           batches with late turns; here there is one turn, and M is that of all tokens
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import masked_mean, stopgrad

SMALLEST_MEAN = 1e-4


def init_state(*, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"total": torch.zeros((), device=device), "count": torch.zeros((), device=device)}


def entropy_smoothing(
    token_entropies: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    progress: Float[Tensor, ""],
    state: dict[str, Tensor],
    *,
    weight: Annotated[float, Ge(0)] = 0.001,
    strength: Annotated[float, Ge(0)] = 1.0,
    penalty: Annotated[float, Ge(0)] = 0.1,
    low: Annotated[float, Ge(0)] = 0.0,
    high: Annotated[float, Ge(0)] = 2.0,
    level: Literal["token", "sequence"] = "token",
    form: Literal["indicator", "hinge"] = "indicator",
    phase: Literal["decaying", "constant"] = "decaying",
) -> tuple[dict[str, Float[Tensor, "B T"]], dict[str, Tensor]]:
    of_all = stopgrad(masked_mean(token_entropies, mask))
    mean = (state["total"] / state["count"].clamp(min=1)).clamp(min=SMALLEST_MEAN).to(token_entropies.dtype)
    entropy = token_entropies
    if level == "sequence":
        entropy = masked_mean(token_entropies, mask, dim=1).unsqueeze(1).expand_as(mask)
    part = entropy / mean
    if form == "hinge":
        outside = (part - high).clamp(min=0) + (low - part).clamp(min=0)
    else:
        outside = (~((part > low) & (part < high))).to(part.dtype)
    known = (state["count"] > 0).to(part.dtype)
    factor = _decaying(progress).to(part.dtype) if phase == "decaying" else 1.0
    terms = {"entropy": -weight * token_entropies, "smoothing": weight * strength * factor * known * penalty * outside}
    # A batch in which nothing counts has no mean.
    count = mask.any().to(state["count"].dtype)
    return terms, {"total": state["total"] + count * of_all.to(count.dtype), "count": state["count"] + count}


def _decaying(progress: Tensor) -> Tensor:
    first = 1 - 0.2 * (1 - torch.exp(-4 * progress))
    return torch.where(progress <= 0.5, first, 0.8 * torch.exp(-6 * (progress - 0.5)))
