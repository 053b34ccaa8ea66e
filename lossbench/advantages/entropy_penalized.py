"""Entropy penalised: group-normalised rewards less a part of the completion's entropy; too uncertain ones do not count.

    A_i = delta_i ((r_i - mean_j r_j) / (std_j r_j + epsilon) - weight H_i)        delta_i = 1 where H_i <= threshold

rewards   [B, R] of the R completions of each prompt
completion_entropies   [B, R] H, mean entropy of the sampling policy over the tokens of each completion, in nats
weight     >= 0
threshold  > 0, or null: all count. The paper has log 2, and none where the policy's entropy was above log 2 before
epsilon    > 0, as in group_normalized
Returns    [B, R]. With weight 0 and no threshold it is group_normalized; a completion that does not count has 0, and
           keeps its place in the mean over the completions
Paper      Simoni et al. 2025 (GTPO), arXiv:2508.03772; the equations of the authors' page
Differs    the authors' code has 0.7 in the place of log 2, whatever the policy was before, and does not divide by the
           standard deviation
"""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.advantages.group_normalized import group_normalized


def entropy_penalized(
    rewards: Float[Tensor, "B R"],
    completion_entropies: Float[Tensor, "B R"],
    *,
    weight: Annotated[float, Ge(0)] = 0.1,
    threshold: Annotated[float, Gt(0)] | None = math.log(2),
    epsilon: Annotated[float, Gt(0)] = 1e-4,
) -> Float[Tensor, "B R"]:
    advantages = group_normalized(rewards, epsilon=epsilon) - weight * completion_entropies
    return advantages if threshold is None else torch.where(completion_entropies <= threshold, advantages, 0.0)
