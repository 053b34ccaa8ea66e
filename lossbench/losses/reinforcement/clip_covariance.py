"""Clip-Cov: a clipped policy gradient that leaves out some of the tokens which take most of the entropy away.

    l_t = clipped_policy_gradient_t, or 0 without gradient for ``number`` random ones of the tokens with
          lowest < c_t < highest whose ratio is not clipped

    c_t = (A_t - mean A) (log pi(y_t) - mean log pi)        number = max(1, floor(fraction n)), 0 where fraction is 0

means and n are of all n tokens of the batch that count. Where likely tokens are good ones, a step on them takes entropy
from the policy: to first order the change of entropy is the covariance of log-probability and advantage.

token_logps, old_token_logps   [B, T] log-probability of each sampled token under the policy, and under the one that
                               sampled it
advantages      [B, T]         mask   [B, T] true where a token is the completion's
token_uniforms  [B, T] the draws: of the tokens that may be left out, those with the largest are
clip_low        in [0, 1], how far a ratio may fall; clip_high: >= 0, how far it may rise
fraction        in [0, 1] of the tokens that count, left out; 0 is clipped_policy_gradient
lowest, highest   of the c_t of tokens that may be left out
Returns   [B, T]; depends on the batch. What is left out counts in a mean over tokens all the same
Numerics  log-ratios are clamped to +-20
Paper     Cui et al. 2025, arXiv:2505.22617; fraction 2e-4 and bounds of 1 and 5 are those of the authors' code
Differs   nothing of the authors' code, which takes at least one token whatever the fraction
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import bounded_log_ratio, centred_products, first_in_order


def clip_covariance(
    token_logps: Float[Tensor, "B T"],
    old_token_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    token_uniforms: Float[Tensor, "B T"],
    *,
    clip_low: Annotated[float, Interval(ge=0, le=1)] = 0.2,
    clip_high: Annotated[float, Ge(0)] = 0.2,
    fraction: Annotated[float, Interval(ge=0, le=1)] = 2e-4,
    lowest: float = 1.0,
    highest: float = 5.0,
) -> Float[Tensor, "B T"]:
    rho = bounded_log_ratio(token_logps - old_token_logps).exp()
    unclipped, clipped = -advantages * rho, -advantages * rho.clamp(min=1 - clip_low).clamp(max=1 + clip_high)
    c = centred_products(advantages, token_logps, mask)
    allowed = (c > lowest) & (c < highest) & (unclipped >= clipped) & mask
    number = (fraction * mask.sum() + 1e-4).floor().clamp(min=1) * (fraction > 0)
    return torch.where(first_in_order(token_uniforms, allowed, number), 0.0, torch.maximum(unclipped, clipped))
