"""Sampled entropy: the entropy of the policy as what it has sampled estimates it; penalised.

    l_t = -weight log pi(y_t)

Its mean over samples of the policy is weight times the entropy. Its gradient at given samples makes these likelier; the
mean of that is 0, so that it is no gradient of the entropy.

token_logps   [B, T] log-probability of each sampled token under the policy
weight    >= 0
Returns   [B, T] >= 0
Numerics  linear
Paper     Wang et al. 2025 (PAPO), arXiv:2507.06448, one of the two terms of its double entropy loss; weight 0.03, 0.05
          for their larger model
Differs   the other one is that of the policy with some of the picture hidden. It has no gradient where that policy is
          the one that has sampled, as in the authors' code
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def sampled_entropy(
    token_logps: Float[Tensor, "B T"], *, weight: Annotated[float, Ge(0)] = 0.03
) -> Float[Tensor, "B T"]:
    return -weight * token_logps
