"""Entropy regularisation of attention heads: each head's entropy is drawn to a threshold of its own, which is learned.

    l_i = weight mean over layers l and heads h of d_ilh^2 [ |d_ilh| > tolerance E ]
    d_ilh = (mean_t entropy_itlh) - theta_lh E                  E = log T, the largest entropy

head_entropies  [B, T, L, H] entropy of what each head of each layer attends to, in nats
mask            [B, T] true where a token counts
params          {"threshold": [L, H]} theta, learned, 1/2 at first
weight          >= 0 (the paper's lambda); 0 is no regularizer
tolerance       >= 0 (the paper's gamma), as a part of the largest entropy: how far off is free
depth, heads    L and H, the model's
Returns         [B] penalty per sequence, >= 0
Paper           Jha and Reagen 2025, arXiv:2501.03489, algorithm 1; tolerance 0.2
Differs         the paper does not say where the thresholds begin. Its weight of 1e-5 belongs to the authors' code,
                which sums single queries over batch and length, where the algorithm has the mean over the length first
                and the reduction divides by the batch: ours is larger by about the number of tokens of a batch. The
                code shares the thresholds of a head among the layers
"""

import math
from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import masked_mean


def init_params(*, depth: int, heads: int) -> dict[str, Tensor]:
    return {"threshold": torch.full((depth, heads), 0.5)}


def head_entropy(
    head_entropies: Float[Tensor, "B T L H"],
    mask: Bool[Tensor, "B T"],
    params: dict[str, Tensor],
    *,
    weight: Annotated[float, Ge(0)] = 0.1,
    tolerance: Annotated[float, Ge(0)] = 0.2,
    depth: Annotated[int, Ge(1)] = 3,
    heads: Annotated[int, Ge(1)] = 4,
) -> Float[Tensor, "B"]:
    largest = math.log(head_entropies.shape[1])
    mean = masked_mean(head_entropies, mask.unsqueeze(-1).unsqueeze(-1), 1)
    deviation = mean - params["threshold"] * largest
    outside = deviation.abs() > tolerance * largest
    return weight * torch.where(outside, deviation.square(), 0.0).mean((1, 2))
