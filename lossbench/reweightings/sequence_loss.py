"""Dynamic loss-based reweighting: each sequence weighs by a softmax, over the batch, of a function of its own loss.

    w_i = B exp(s_i / temperature) / sum_j exp(s_j / temperature)        so that equal losses have weight 1
    h_i = (2 l_i - max - min) / (max - min), in [-1, 1]                  l_i: mean loss of the tokens of sequence i

    strategy         s_i
    linear_upper     min(h_i + 1, 1): from half-way up all alike; low losses, which are learned already, count less
    upper            (h_i + 1) / 2
    quadratic        1 - h_i^2: the extremes count less
    extremes         |h_i|: the extremes count more

    the solution of: weights on the simplex with the largest sum_i w_i s_i - temperature KL(w || uniform)

losses       [*] loss per token l                   mask       [*] true where a token counts
progress     [] part of the training budget that is spent
strategy     as above
temperature  > 0 (the paper's r); to infinity, uniform weights
burn_in      in [0, 1]: part of the training budget in which all weigh 1
Returns      [*] weight of each token, that of its sequence
Paper        Sow et al. 2025, arXiv:2502.06733; temperature 1 and 1000 steps of uniform weights are their defaults
Differs      B counts the sequences with a token that counts. Burn-in is a part of the run, and 0.1 is ours
"""

from typing import Annotated, Literal

import torch
from annotated_types import Gt, Interval
from jaxtyping import Bool, Float
from torch import Tensor

Strategy = Literal["linear_upper", "upper", "quadratic", "extremes"]


def sequence_loss(
    losses: Float[Tensor, "*b"],
    mask: Bool[Tensor, "*b"],
    progress: Float[Tensor, ""],
    *,
    strategy: Strategy = "linear_upper",
    temperature: Annotated[float, Gt(0)] = 1.0,
    burn_in: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Float[Tensor, "*b"]:
    rows, counted = losses.reshape(losses.shape[0], -1), mask.reshape(losses.shape[0], -1)
    number = counted.sum(1)
    there = number > 0
    mean = torch.where(counted, rows, 0.0).sum(1) / number.clamp(min=1)
    low = torch.where(there, mean, torch.inf).amin()
    high = torch.where(there, mean, -torch.inf).amax()
    spread = high - low
    apart = (spread > 0) & spread.isfinite()
    h = torch.where(apart, (2 * mean - high - low) / torch.where(apart, spread, 1.0), 0.0)
    match strategy:
        case "linear_upper":
            score = (h + 1).clamp(max=1)
        case "upper":
            score = (h + 1) / 2
        case "quadratic":
            score = 1 - h.square()
        case "extremes":
            score = h.abs()
    part = torch.where(there, score / temperature, -torch.inf)
    part = torch.where(there.any(), part, 0.0)
    weights = part.softmax(0) * there.sum()
    weights = torch.where(progress < burn_in, 1.0, weights)
    return weights.reshape(-1, *(1,) * (losses.ndim - 1)).expand(losses.shape).to(losses.dtype)
