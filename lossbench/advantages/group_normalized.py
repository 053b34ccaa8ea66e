"""Group normalised: the reward of a completion in standard deviations from the mean of its prompt's completions.

    A_i = (r_i - mean_j r_j) / (std_j r_j + epsilon)        std with R - 1 in the denominator

rewards   [B, R] of the R completions of each prompt
epsilon   > 0: where all have the same reward, advantages are 0 and not 0 / 0
Returns   [B, R]; of one completion: 0
Paper     Shao et al. 2024 (GRPO), arXiv:2402.03300, eq. 3 and section 4.1.2
Differs   the paper does not say which standard deviation; this is that of the usual implementations
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.advantages.group_centered import group_centered


def group_normalized(rewards: Float[Tensor, "B R"], *, epsilon: Annotated[float, Gt(0)] = 1e-4) -> Float[Tensor, "B R"]:
    centred = group_centered(rewards)
    deviation = (centred.square().sum(-1, keepdim=True) / max(rewards.shape[-1] - 1, 1)).sqrt()
    return centred / (deviation + epsilon)
