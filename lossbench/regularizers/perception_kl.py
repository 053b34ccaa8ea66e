"""Perception KL (PAPO): how far the policy is from what it says with some of the picture hidden; rewarded.

    l_t = -weight min(exp(d_t) - 1 - d_t, 10)        d_t = log pi(y_t | part of the picture) - log pi(y_t | picture)

exp(d) - 1 - d is an estimate of KL(policy with the picture || with a part of it) at what the policy has sampled.

token_logps         [B, T] log-probability of each sampled token under the policy
masked_token_logps  [B, T] the same with some of the picture hidden, of the policy that has sampled; no gradient
weight    >= 0
Returns   [B, T] <= 0, unbounded in the large for each token but for the 10
Numerics  d is clamped to +-20. Beyond 10 the gradient ends, and it is none where d is more than about 2.6
Paper     Wang et al. 2025 (PAPO), arXiv:2507.06448; weight 0.01 without a KL to the reference, 0.02 with one of weight
          0.01; 0.6 of the picture hidden
Differs   nothing: that masked_token_logps has no gradient, and both limits, are as in the authors' code
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

LARGEST, MOST = 20.0, 10.0


def perception_kl(
    token_logps: Float[Tensor, "B T"],
    masked_token_logps: Float[Tensor, "B T"],
    *,
    weight: Annotated[float, Ge(0)] = 0.01,
) -> Float[Tensor, "B T"]:
    d = (masked_token_logps - token_logps).clamp(-LARGEST, LARGEST)
    return -weight * (d.expm1() - d).clamp(max=MOST)
