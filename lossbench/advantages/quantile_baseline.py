"""Quantile baseline (QAE): the reward above a quantile of those of the prompt's completions, in standard deviations.

    A_i = (r_i - b) / (std_j r_j + epsilon)        b = min {x : #{j : r_j <= x} >= quantile R}

std with R - 1 in the denominator. Of rewards 0 and 1, a part p of them 1: where p <= 1 - quantile the baseline is 0 and
only the rare right completions count, else it is 1 and only the wrong ones that are left do.

rewards    [B, R] of the R completions of each prompt
quantile   in (0, 1), K in the paper: smaller keeps to what is right and lowers the entropy, larger raises it
epsilon    > 0: where all have the same reward, advantages are 0 and not 0 / 0
Returns    [B, R]; at least one is 0 for each prompt
Numerics   #{...} >= quantile R is compared with a tolerance of 1e-6, so that 0.55 of 20 are 11 of them
Paper      Wu et al. 2025, arXiv:2509.22611, eq. 3 and 4; quantile 0.4 where the clip range is larger above, else 0.6
Differs    the paper does not say which standard deviation: this is group_normalized's. The authors' code takes the
           quantile with linear interpolation, which for some p lies between 0 and 1
"""

from typing import Annotated

import torch
from annotated_types import Gt, Interval
from jaxtyping import Float
from torch import Tensor

from lossbench.advantages.group_centered import group_centered


def quantile_baseline(
    rewards: Float[Tensor, "B R"],
    *,
    quantile: Annotated[float, Interval(gt=0, lt=1)] = 0.4,
    epsilon: Annotated[float, Gt(0)] = 1e-4,
) -> Float[Tensor, "B R"]:
    not_above = (rewards.unsqueeze(-2) <= rewards.unsqueeze(-1)).sum(-1)  # for each reward, how many are at most it
    enough = not_above >= quantile * rewards.shape[-1] - 1e-6
    baseline = torch.where(enough, rewards, torch.inf).amin(-1, keepdim=True)
    deviation = (group_centered(rewards).square().sum(-1, keepdim=True) / max(rewards.shape[-1] - 1, 1)).sqrt()
    return (rewards - baseline) / (deviation + epsilon)
