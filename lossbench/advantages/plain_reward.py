"""Plain reward: the reward itself, without a baseline.

    A_i = r_i

rewards   [B, R]
Returns   [B, R]. Unbiased, of a larger variance than with a baseline
Paper     Williams 1992 (REINFORCE)
"""

from jaxtyping import Float
from torch import Tensor


def plain_reward(rewards: Float[Tensor, "B R"]) -> Float[Tensor, "B R"]:
    return rewards
