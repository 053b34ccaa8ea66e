"""Entropy change (STEER): a token counts less, the more a step on it would change the entropy of the policy.

    c_t = | A_t p_t / p_old_t (1 - p_t) (log p_t + H_t) |        p_t = pi(y_t), H_t the entropy of the policy there
    exponential   w_t = smallest ^ (c_t / max(max c, least))
    linear        w_t = largest - (largest - smallest) (c_t - min c) / (max c - min c)

A policy-gradient step moves the logit of y_t by A_t p_t / p_old_t (1 - p_t) times the rate, and good tokens that are
likelier than usual (log p_t > -H_t) take entropy away. max and min are over the tokens of the batch that count.

token_logps, old_token_logps   [B, T] log-probability of each sampled token under the policy, and under the one that
                               sampled it
token_entropies   [B, T] of the policy         advantages   [B, T]        mask   [B, T] true where a token counts
form       exponential or linear
smallest   in (0, 1], the weight of the token with the largest change; 1: all count the same, of the exponential form
largest    >= 1, the weight of that with the smallest change, of the linear form
least      > 0; while all changes are smaller, no token counts as little as smallest, of the exponential form
Returns    [B, T] weight of each token
Numerics   log-ratios are clamped to +-20; where all changes are the same, their linear weight is largest
Paper      Hao et al. 2025, arXiv:2510.10150; 0.8, 1.2 and 0.02 are those of the authors' code
Differs    nothing of the authors' code. To first order the change by a step on that logit alone is p_t c_t times the
           rate, so that c_t overstates that of unlikely tokens
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import bounded_log_ratio


def entropy_change(
    token_logps: Float[Tensor, "B T"],
    old_token_logps: Float[Tensor, "B T"],
    token_entropies: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    form: Literal["exponential", "linear"] = "exponential",
    smallest: Annotated[float, Interval(gt=0, le=1)] = 0.8,
    largest: Annotated[float, Ge(1)] = 1.2,
    least: Annotated[float, Gt(0)] = 0.02,
) -> Float[Tensor, "B T"]:
    rho = bounded_log_ratio(token_logps - old_token_logps).exp()
    unlikely = -torch.expm1(token_logps)
    change = torch.where(mask, (advantages * rho * unlikely * (token_logps + token_entropies)).abs(), 0.0)
    most = change.max()
    if form == "exponential":
        return smallest ** (change / most.clamp(min=least))
    fewest = torch.where(mask, change, torch.inf).min()
    width = most - fewest
    part = torch.where(width > 0, (change - fewest) / torch.where(width > 0, width, 1.0), 0.0)
    return largest - (largest - smallest) * part.clamp(min=0)
