"""Conflict tokens (GTPO): what good and bad completions of a prompt have in common is not held against the bad ones.

    w_it = first_it last_it        each is weight where A_i > 0, 0 where A_i < 0, for a conflict token; otherwise 1

A token is in conflict where at the same place a completion with A > 0 and one with A < 0 have it. Places are counted
from the first token, for the first factor, and from the last one, for the last factor; only the unbroken run of such
tokens from that end counts: what good and bad begin with, and what they end with. A_i = r_i - mean_j r_j.

rollout_tokens  [B, R, T] the token that a place predicts        rollout_mask  [B, R, T] whether it is the completion's
rewards   [B, R] of the R completions of each prompt
weight    >= 0, of conflict tokens of good completions; of those that are in both runs its square
Returns   [B R, T] weight of each token; they need not have the mean 1
Paper     Simoni et al. 2025, arXiv:2508.03772; weight 2 and the two factors as in the authors' code
Differs   the authors' code also divides the loss of each completion by the number of its conflict tokens, which their
          equation does not, and of which it counts the longer run alone
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Bool, Float, Int
from torch import Tensor


def conflict_tokens(
    rollout_tokens: Int[Tensor, "B R T"],
    rollout_mask: Bool[Tensor, "B R T"],
    rewards: Float[Tensor, "B R"],
    *,
    weight: Annotated[float, Ge(0)] = 2.0,
) -> Float[Tensor, "B*R T"]:
    above = rewards - rewards.mean(-1, keepdim=True)
    places = torch.arange(rollout_mask.shape[-1], device=rewards.device)
    lengths = rollout_mask.sum(-1, keepdim=True)
    first = rollout_mask.long().argmax(-1, keepdim=True)
    last = first + lengths - 1
    own = torch.where(above > 0, weight, torch.where(above < 0, 0.0, 1.0)).to(rewards.dtype).unsqueeze(-1)
    factors = torch.ones(rollout_mask.shape, dtype=rewards.dtype, device=rewards.device)
    # The place of each token counted from either end, and the number of each place.
    for place, number in ((first + places, places - first), (last - places, last - places)):
        tokens = rollout_tokens.gather(-1, place.clamp(0, len(places) - 1))
        run = _shared(tokens, places < lengths, above).long().cumprod(-1).bool()
        here = run.gather(-1, number.clamp(0, len(places) - 1)) & rollout_mask
        factors = torch.where(here, factors * own, factors)
    return factors.flatten(0, 1)


def _shared(tokens: Tensor, inside: Tensor, above: Tensor) -> Tensor:
    """[B, R, T] whether a good and a bad completion of the prompt have the same token there."""
    equal = tokens.unsqueeze(1) == tokens.unsqueeze(2)  # [B, R, R, T]
    equal = equal & inside.unsqueeze(1) & inside.unsqueeze(2)
    good, bad = ((equal & side[:, None, :, None]).any(2) for side in (above > 0, above < 0))
    return good & bad
