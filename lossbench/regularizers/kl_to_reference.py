"""KL to the reference, estimated at the tokens that the policy has sampled.

    d_t = log pi(y_t) - log pi_ref(y_t)
    k1: d_t        k2: d_t^2 / 2        k3: exp(-d_t) - 1 + d_t

All have about the mean KL(pi || pi_ref); k1 and k3 exactly, for samples of pi. As a penalty, what counts is the
gradient: that of k2 is the gradient of KL(pi || pi_ref), that of k1 is 0 on average, that of k3 is the gradient of
KL(pi_ref || pi).

token_logps, ref_token_logps   [B, T] log-probability of each sampled token under the policy, and under the reference
weight      >= 0; 0 is no penalty
estimator   k1, k2 or k3
Returns     [B, T]; k2 and k3 are >= 0
Numerics    d is clamped to +-20, where its gradient ends
Paper       Schulman 2020, Approximating KL divergence, for the estimators; k3 with weight 0.04: Shao et al. 2024
            (GRPO), arXiv:2402.03300, eq. 4
Differs     the log-ratio is clamped
"""

from typing import Annotated, Literal

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import bounded_log_ratio


def kl_to_reference(
    token_logps: Float[Tensor, "B T"],
    ref_token_logps: Float[Tensor, "B T"],
    *,
    weight: Annotated[float, Ge(0)] = 0.04,
    estimator: Literal["k1", "k2", "k3"] = "k3",
) -> Float[Tensor, "B T"]:
    d = bounded_log_ratio(token_logps - ref_token_logps)
    if estimator == "k1":
        return weight * d
    return weight * (d.square() / 2 if estimator == "k2" else (-d).exp() - 1 + d)
