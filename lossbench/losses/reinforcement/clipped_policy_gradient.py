"""Clipped policy gradient: the ratio of new to old probability times the advantage, until it has moved far enough.

    l_t = -min(rho_t A_t, clip(rho_t, 1 - clip_low, 1 + clip_high) A_t)        rho_t = pi(y_t) / pi_old(y_t)

    and with dual_clip c, where A_t < 0:        l_t = min(l_t, -c A_t)

token_logps, old_token_logps   [B, T] log-probability of each sampled token under the policy, and under the one that
                               sampled it
advantages   [B, T]            mask   [B, T] true where a token is the completion's; read at the levels of sequences
clip_low     in [0, 1], how far a ratio may fall; clip_high: >= 0, how far it may rise
dual_clip    null, or > 1: the largest loss of a token in units of |A|, whose gradient is 0 beyond
level        what the ratio is of. token: each token's own; sequence: of all tokens of the completion, their product;
             geometric_mean: of a token of it on average, the product to the power 1 / length
Returns      [B, T]; at the levels of sequences all tokens of a completion have the same value
Numerics     log-ratios are clamped to +-20: a ratio is finite in every precision that has float32's range
Paper        Schulman et al. 2017 (PPO), arXiv:1707.06347, eq. 7; clip_high: Yu et al. 2025 (DAPO), arXiv:2503.14476,
             eq. 10; dual_clip: Ye et al. 2019, arXiv:1912.09729, eq. 8; geometric_mean: Zheng et al. 2025 (GSPO),
             arXiv:2507.18071, eq. 5 to 7
Differs      nothing; the papers' reductions and KL terms are choices of their own
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import bounded_log_ratio, masked_mean

Level = Literal["token", "sequence", "geometric_mean"]


def clipped_policy_gradient(
    token_logps: Float[Tensor, "B T"],
    old_token_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    clip_low: Annotated[float, Interval(ge=0, le=1)] = 0.2,
    clip_high: Annotated[float, Ge(0)] = 0.2,
    dual_clip: Annotated[float, Gt(1)] | None = None,
    level: Level = "token",
) -> Float[Tensor, "B T"]:
    rho = _ratio(token_logps, old_token_logps, mask, level)
    clipped = rho.clamp(min=1 - clip_low).clamp(max=1 + clip_high)
    values = torch.maximum(-advantages * rho, -advantages * clipped)
    if dual_clip is None:
        return values
    return torch.where(advantages < 0, torch.minimum(values, -dual_clip * advantages), values)


def _ratio(
    token_logps: Float[Tensor, "B T"], old_token_logps: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], level: Level
) -> Float[Tensor, "B T"]:
    """The new probability over the old one, of what the level says."""
    change = token_logps - old_token_logps
    if level == "geometric_mean":
        change = masked_mean(change, mask, dim=1).unsqueeze(1).expand_as(change)
    elif level == "sequence":
        change = torch.where(mask, change, 0.0).sum(1, keepdim=True).expand_as(change)
    return bounded_log_ratio(change).exp()


def diagnostics(
    token_logps: Float[Tensor, "B T"],
    old_token_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    level: Level = "token",
) -> dict[str, Tensor]:
    """clipped_fraction   of the tokens: where clipping has taken the gradient away
    old_kl             estimate of KL(old || new) of a token, the mean of rho - 1 - log rho
    """
    rho = _ratio(token_logps, old_token_logps, mask, level)
    clipped = ((rho > 1 + clip_high) & (advantages > 0)) | ((rho < 1 - clip_low) & (advantages < 0))
    change = bounded_log_ratio(token_logps - old_token_logps)
    return {"clipped_fraction": clipped.to(rho.dtype), "old_kl": change.exp() - 1 - change}
