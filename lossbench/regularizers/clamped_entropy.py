"""Clamped entropy (AEnt): a bonus for the entropy among the likely classes, kept in a band by its coefficient.

    l_i = -c H_i        H_i = -sum_{k kept} q_ik log q_ik        q_i = softmax of the kept logits
    c <- clip(c - rate (min(0, H - lowest) + max(0, H - highest)), smallest, largest)        after each step

Kept are all classes but the floor(dropped C) with the smallest logits, for each element by itself. H is the mean of the
H_i that count. Among many classes the ordinary bonus rewards for what is never right; this one does not see it.

logits     [*, C] unnormalised scores         mask   [*] true where an element counts, for H
state      {"change": [], "step": []} by how much c differs from weight, and the steps made; both 0 at first
weight     >= 0, c at first
dropped    in [0, 1); 0 is the entropy of all classes
rate       >= 0; 0: c is weight for ever, and the bonus with dropped 0 is confidence_penalty
lowest, highest    >= 0, the band of H in nats: below it c rises, above it c falls
smallest, largest  >= 0, the bounds of c as soon as it moves
warm_up    c moves after step number warm_up + 1, counted from 0
Returns    [*] penalty, in [-c log C, 0], and the new state
Numerics   log-softmax of the kept logits; of equal logits the first ones are kept
Paper      Shen 2025, arXiv:2509.03493; the numbers are those of the authors' example, GSM8K, where rewards are in 0..10
Differs    c moves after each optimizer step, where it is there after all those on a batch of samples
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import masked_mean, stopgrad


def init_state(*, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"change": torch.zeros((), device=device), "step": torch.zeros((), device=device)}


def clamped_entropy(
    logits: Float[Tensor, "*b C"],
    mask: Bool[Tensor, "*b"],
    state: dict[str, Tensor],
    *,
    weight: Annotated[float, Ge(0)] = 2e-4,
    dropped: Annotated[float, Interval(ge=0, lt=1)] = 0.4,
    rate: Annotated[float, Ge(0)] = 1e-3,
    lowest: Annotated[float, Ge(0)] = 0.05,
    highest: Annotated[float, Ge(0)] = 0.23,
    smallest: Annotated[float, Ge(0)] = 1e-5,
    largest: Annotated[float, Ge(0)] = 3e-3,
    warm_up: Annotated[int, Ge(0)] = 29,
) -> tuple[Float[Tensor, "*b"], dict[str, Tensor]]:
    classes = logits.shape[-1]
    place = logits.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    kept = place < classes - (dropped * torch.tensor(classes, device=logits.device) + 1e-4).floor()
    log_q = torch.where(kept, torch.where(kept, logits, -torch.inf).log_softmax(-1), 0.0)
    entropy = -(torch.where(kept, log_q.exp(), 0.0) * log_q).sum(-1)
    change, step = state["change"], state["step"]
    coefficient = weight + change
    mean = stopgrad(masked_mean(entropy, mask)).to(change.dtype)
    moved = coefficient - rate * ((mean - lowest).clamp(max=0) + (mean - highest).clamp(min=0))
    moved = moved.clamp(min=smallest).clamp(max=largest)
    # A batch in which nothing counts says nothing of H.
    moves = (step > warm_up) & (rate > 0) & mask.any()
    new_change = torch.where(moves, (moved - weight).to(change.dtype), change)
    return -coefficient.to(logits.dtype) * entropy, {"change": new_change, "step": step + 1}
