"""Ranking pairs: the logistic loss of every pair of a ranking, as if the pairs had been compared independently.

    l_i = -sum_{j < k} log sigmoid(r_ij - r_ik)        r_ik = beta log pi(y_ik) / ref(y_ik), y_i1 the best

ranking_logps  [B, R] log pi of the completions, from the best to the worst        ref_ranking_logps  [B, R] log ref
beta      > 0, as in dpo, which is the case of two completions
Returns   [B] loss per ranking
Numerics  log sigmoid
Paper     Zhu et al. 2023, arXiv:2301.11270, the split of K-wise comparisons into pairs (MLE_2)
Differs   the paper has rewards of their own, linear in features
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def ranking_pairs(
    ranking_logps: Float[Tensor, "B R"],
    ref_ranking_logps: Float[Tensor, "B R"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    rewards = beta * (ranking_logps - ref_ranking_logps)
    better, worse = torch.triu_indices(rewards.shape[-1], rewards.shape[-1], 1, device=rewards.device)
    return -logsigmoid(rewards[..., better] - rewards[..., worse]).sum(-1)
