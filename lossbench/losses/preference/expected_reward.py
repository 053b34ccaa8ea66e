"""Expected reward: what reinforcement learning from human feedback maximises, without samples.

    l_i = -E_{y ~ pi(. | x_i)} r(x_i, y) + beta KL(pi(. | x_i) || ref(. | x_i))

The minimum is at pi ~ ref exp(r / beta). The gradient is what policy gradients estimate.

policy_rewards  [B] the expectation, for each prompt, with gradient: the exact sum over all completions
policy_kl       [B] the KL of each prompt, with gradient
beta      >= 0, of the KL
Returns   {reward, kl} [B] the two terms of each example
Numerics  plain
Paper     Ziegler et al. 2019, arXiv:1909.08593, the objective with a fixed coefficient
Differs   the exact sums, where samples and PPO approach them
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def expected_reward(
    policy_rewards: Float[Tensor, "B"], policy_kl: Float[Tensor, "B"], *, beta: Annotated[float, Ge(0)] = 0.1
) -> dict[str, Float[Tensor, "B"]]:
    return {"reward": -policy_rewards, "kl": beta * policy_kl}
