"""What the reweightings share that keep some tokens of each sequence."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def largest(scores: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], fraction: float) -> Float[Tensor, "B T"]:
    """number / kept for the kept = ceil(fraction number) tokens of each sequence with the largest scores, 0 elsewhere;
    number counts the mask. Of equal scores the first ones are kept."""
    number = mask.sum(-1, keepdim=True).to(scores.dtype)
    # A fraction such as 0.7 times 10 is a little more than 7 as a float.
    kept = (fraction * number - 1e-4).ceil().clamp(min=1)
    order = torch.where(mask, scores, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
    return torch.where((rank < kept) & mask, number / kept, 0.0)
