"""What reweightings that drop prompts share: weights of completions, so that a mean is the one over what is kept."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Per = Literal["tokens", "completions"]


def informative(rewards: Float[Tensor, "B R"]) -> Bool[Tensor, "B"]:
    """Whether the completions of a prompt have different rewards."""
    return rewards.amax(-1) > rewards.amin(-1)


def of_prompts(kept: Bool[Tensor, "B"], completion_lengths: Float[Tensor, "B R"], per: Per) -> Float[Tensor, "B*R"]:
    """n / n_kept for the completions of the prompts that are kept, otherwise 0; n counts completions or tokens."""
    counts = torch.ones_like(completion_lengths) if per == "completions" else completion_lengths
    of_kept = torch.where(kept.unsqueeze(-1), counts, 0.0).sum()
    weight = counts.sum() / torch.where(of_kept > 0, of_kept, 1.0)
    return torch.where(kept.unsqueeze(-1), weight, 0.0).expand_as(counts).flatten()
