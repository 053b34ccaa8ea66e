"""ShiQ: logits as values that satisfy the Bellman equations of the reward with a KL penalty, from any completions.

    multi_step   l_i = 1/R sum_k sum_t (r_ik - beta sum_{s >= t} Delta_iks - beta dv_ikt)^2
    one step     l_i = 1/R sum_k sum_t (r_ikt + beta dv_ik,t+1 - beta Delta_ikt - beta dv_ikt)^2

    Delta = log pi(y_t) - log ref(y_t)        dv_t = logsumexp_c logits_t - logsumexp_c ref_logits_t, 0 behind the end

The reward comes with the last token: r_ikt is r_ik there, 0 before. Both are 0 at one policy alone, which is
pi ~ ref exp(r / beta), with beta dv_t the value of the state: whoever has written the completions, and though a
prompt has only one. The reference itself is where the residuals are the rewards.

ranking_token_logps, ref_ranking_token_logps   [B, R, T] log-probability of each token, 0 where ranking_mask is false
ranking_values, ref_ranking_values             [B, R, T] log-sum-exp of the logits there
ranking_mask   [B, R, T] which tokens are a completion's
rewards     [B, R] of each completion
beta        > 0, of the KL, in units of the reward
multi_step  false: each token looks one token ahead, and what a reward says reaches the first tokens step by step
Returns     [B] mean over the completions of a prompt of the sum over their tokens
Numerics    plain; a constant that is added to all logits of a place changes the loss, though not the policy
Paper       Clavier et al. 2025, arXiv:2505.11081
Differs     the paper's equations were not at hand, only its reparametrisation; these follow from it, and the tests hold
            them against dynamic programming. Rewards of single tokens are not taken
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad


def shiq(
    ranking_token_logps: Float[Tensor, "B R T"],
    ref_ranking_token_logps: Float[Tensor, "B R T"],
    ranking_values: Float[Tensor, "B R T"],
    ref_ranking_values: Float[Tensor, "B R T"],
    ranking_mask: Bool[Tensor, "B R T"],
    rewards: Float[Tensor, "B R"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
    multi_step: bool = True,
) -> Float[Tensor, "B"]:
    change = beta * torch.where(ranking_mask, ranking_token_logps - ref_ranking_token_logps, 0.0)
    value = beta * torch.where(ranking_mask, ranking_values - ref_ranking_values, 0.0)
    if multi_step:
        to_come = change.flip(-1).cumsum(-1).flip(-1)
        residual = rewards.unsqueeze(-1) - to_come - value
    else:
        last = ranking_mask & (ranking_mask.flip(-1).cumsum(-1).flip(-1) == 1)
        ahead = torch.where(last, rewards.unsqueeze(-1), _next(value))
        residual = ahead - change - value
    return torch.where(ranking_mask, residual, 0.0).square().sum(-1).mean(-1)


def _next(values: Tensor) -> Tensor:
    return pad(values[..., 1:], (0, 1))
