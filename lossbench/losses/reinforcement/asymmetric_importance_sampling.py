"""Asymmetric importance sampling (ASPO): where the advantage is positive, the ratio counts the other way round.

    rho_t = pi(y_t) / pi_old(y_t)            w_t = rho_t where A_t < 0, 1 / rho_t where A_t > 0, at most dual_clip
    l_t = -A_t w_t [pi(y_t)]                 [pi] = pi / pi without gradient below: 1, with the gradient of log pi

and beyond the clip range a constant without gradient: where A_t < 0 and rho_t < 1 - low, and where A_t > 0 and
rho_t > 1 + high. A token that has become likelier is reinforced less, not more; a weight that is cut at dual_clip keeps
its gradient. For the uncertain tokens, the range is wider.

token_logps, old_token_logps   [B, T] log-probability of each sampled token under the policy, and under the one that
                               sampled it
token_entropies  [B, T] of the policy; tells which tokens are uncertain: above the quantile of their completion
advantages   [B, T]            mask   [B, T] true where a token is the completion's
clip_low     >= 0, how far a ratio may fall             clip_high  >= 0, how far it may rise
widening     >= 1; of uncertain tokens, times as far; 1: all tokens have the same range
quantile     in [0, 1]; the part of the tokens of a completion that is not uncertain
dual_clip    >= 1, the largest weight
Returns      [B, T]
Numerics     log-ratios are clamped to +-20; no gradient goes through the weight
Paper        Wang et al. 2025, arXiv:2510.06062; dual_clip 3, ranges of 0.2 and 0.4 (widening 2) and the quantile 0.8
             are those of the authors' code
Differs      the equations are known through the authors' code. There, the value of a token whose weight is cut is
             -A dual_clip log pi; here it is -A dual_clip, with the same gradient, so that the loss has no jump
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import bounded_log_ratio, stopgrad


def asymmetric_importance_sampling(
    token_logps: Float[Tensor, "B T"],
    old_token_logps: Float[Tensor, "B T"],
    token_entropies: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    clip_low: Annotated[float, Ge(0)] = 0.2,
    clip_high: Annotated[float, Ge(0)] = 0.2,
    widening: Annotated[float, Ge(1)] = 2.0,
    quantile: Annotated[float, Interval(ge=0, le=1)] = 0.8,
    dual_clip: Annotated[float, Ge(1)] = 3.0,
) -> Float[Tensor, "B T"]:
    change = bounded_log_ratio(token_logps - old_token_logps)
    rho, positive = change.exp(), advantages > 0
    factor = 1 + (widening - 1) * _uncertain(token_entropies, mask, quantile).to(rho.dtype)
    lowest, highest = 1 - factor * clip_low, 1 + factor * clip_high
    clipped = torch.where(positive, rho > highest, rho < lowest)
    weight = stopgrad(torch.where(positive, -change, change).exp()).clamp(max=dual_clip)
    follows = (token_logps - stopgrad(token_logps)).exp()
    return -advantages * torch.where(clipped, torch.where(positive, 1 / highest, lowest), weight * follows)


def _uncertain(entropies: Tensor, mask: Tensor, quantile: float) -> Tensor:
    """[B, T] the tokens whose entropy is above that quantile of their completion, as torch.quantile interpolates; of
    equal entropies the first ones."""
    number = mask.sum(-1, keepdim=True)
    above = number - 1 - (quantile * (number - 1) + 1e-4).floor()  # 0.7 times 10 is a little less than 7 as a float
    order = torch.where(mask, entropies, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    return (order.argsort(dim=-1) < above) & mask
