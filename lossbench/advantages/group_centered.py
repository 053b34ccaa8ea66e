"""Group centred: the reward of a completion above the mean of its prompt's completions.

    A_i = r_i - mean_j r_j

rewards   [B, R] of the R completions of each prompt
Returns   [B, R]; they sum to 0 for each prompt
Paper     Liu et al. 2025 (Dr. GRPO), arXiv:2503.20783: GRPO without its division by the standard deviation
"""

from jaxtyping import Float
from torch import Tensor


def group_centered(rewards: Float[Tensor, "B R"]) -> Float[Tensor, "B R"]:
    return rewards - rewards.mean(-1, keepdim=True)
