"""KL-Cov: a policy gradient that holds the tokens back which take most of the entropy away.

    l_t = -rho_t A_t + weight |log rho_t| [t is among the ``number`` tokens with the largest c_t]
    rho_t = pi(y_t) / pi_old(y_t)        c_t = (A_t - mean A) (log pi(y_t) - mean log pi)
    number = max(1, floor(fraction n)), 0 where fraction is 0

means and n are of all n tokens of the batch that count. Where likely tokens are good ones, a step on them takes entropy
from the policy: to first order the change of entropy is the covariance of log-probability and advantage.

token_logps, old_token_logps   [B, T] log-probability of each sampled token under the policy, and under the one that
                               sampled it
advantages   [B, T]            mask   [B, T] true where a token is the completion's
fraction     in [0, 1] of the tokens that count, held back
weight       >= 0 of how far they have moved
Returns   [B, T]; depends on the batch. No ratio is clipped
Numerics  log-ratios are clamped to +-20, where their gradient ends; the gradient of |log rho| at 0 is 0
Paper     Cui et al. 2025, arXiv:2505.22617; weight 1 and fraction 2e-3 (for a model of 7 billion weights, 2e-4 for 32)
          are those of the authors' code
Differs   nothing of the authors' code, which takes the fraction in percent, and at least one token whatever it is
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import bounded_log_ratio, centred_products, first_in_order


def kl_covariance(
    token_logps: Float[Tensor, "B T"],
    old_token_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    fraction: Annotated[float, Interval(ge=0, le=1)] = 2e-3,
    weight: Annotated[float, Ge(0)] = 1.0,
) -> Float[Tensor, "B T"]:
    change = bounded_log_ratio(token_logps - old_token_logps)
    number = (fraction * mask.sum() + 1e-4).floor().clamp(min=1) * (fraction > 0)
    held = first_in_order(centred_products(advantages, token_logps, mask), mask, number)
    return -advantages * change.exp() + torch.where(held, weight * change.abs(), 0.0)
