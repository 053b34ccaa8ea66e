"""Policy gradient: the log-probability of what was sampled, times how good it was.

    l_t = -A_t log pi(y_t)

token_logps   [B, T] log-probability of each sampled token under the policy
advantages    [B, T] without gradient
Returns       [B, T], of which the gradient is that of the expected reward, where the policy is the one that sampled
Numerics      linear in token_logps
Paper         Williams 1992 (REINFORCE)
Differs       nothing
"""

from jaxtyping import Float
from torch import Tensor


def policy_gradient(token_logps: Float[Tensor, "B T"], advantages: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    return -advantages * token_logps
