"""Reference margin (AAPO): the group-normalised reward, and by how much a completion beats one of the reference.

    A_i = (r_i - mean_j r_j) / (std_j r_j + epsilon) + clip(r_i - r^ref_i, -margin_low, margin_high)

so that a prompt whose completions all have the same reward still teaches, where the reference has another.

rewards, ref_rewards   [B, R] of R completions of each prompt, by the policy and by the reference
margin_low, margin_high   >= 0: how far a completion may count as worse, and as better, than the reference's
normalize   false: rewards are not divided by their standard deviation
epsilon     > 0: where all have the same reward, the first term is 0 and not 0 / 0
Returns     [B, R]; they need not sum to 0 for a prompt
Paper       Xiong et al. 2025, arXiv:2505.14264; margins of 0.2 and 0.28, and epsilon, are those of the authors' code
Differs     nothing. It compares the completion with the same number of the reference's, as their code does: any would
            do, they are independent. Their recipes differ in whether they normalise
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.advantages.group_centered import group_centered
from lossbench.advantages.group_normalized import group_normalized


def reference_margin(
    rewards: Float[Tensor, "B R"],
    ref_rewards: Float[Tensor, "B R"],
    *,
    margin_low: Annotated[float, Ge(0)] = 0.2,
    margin_high: Annotated[float, Ge(0)] = 0.28,
    normalize: bool = True,
    epsilon: Annotated[float, Gt(0)] = 1e-4,
) -> Float[Tensor, "B R"]:
    among = group_normalized(rewards, epsilon=epsilon) if normalize else group_centered(rewards)
    return among + (rewards - ref_rewards).clamp(-margin_low, margin_high)
