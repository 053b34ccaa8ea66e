"""Leave one out: the reward of a completion above the mean of the other completions of its prompt.

    A_i = r_i - 1 / (R - 1) sum_{j != i} r_j = R / (R - 1) (r_i - mean_j r_j)

rewards   [B, R] of the R completions of each prompt, R >= 2
Returns   [B, R]. The baseline does not depend on the completion, so that the policy gradient stays unbiased
Paper     Kool et al. 2019; Ahmadian et al. 2024 (RLOO), arXiv:2402.14740, eq. 10
"""

from jaxtyping import Float
from torch import Tensor

from lossbench.advantages.group_centered import group_centered
from lossbench.errors import UsageError


def leave_one_out(rewards: Float[Tensor, "B R"]) -> Float[Tensor, "B R"]:
    number = rewards.shape[-1]
    if number < 2:
        raise UsageError("advantage=leave_one_out compares a completion with others. Give task.completions >= 2.")
    return group_centered(rewards) * number / (number - 1)
