"""Plackett-Luce: the likelihood of a whole ranking under implicit rewards, beta log(policy / reference).

    l_i = -sum_k log( exp r_ik / sum_{j >= k} exp r_ij )        r_ik = beta log pi(y_ik) / ref(y_ik), y_i1 the best

ranking_logps  [B, R] log pi of the completions, from the best to the worst        ref_ranking_logps  [B, R] log ref
beta      > 0, as in dpo, which is the case of two completions
Returns   [B] loss per ranking
Numerics  log-sum-exp from the worst completion on
Paper     Zhu et al. 2023, arXiv:2301.11270, the likelihood of K-wise comparisons (MLE_K); with implicit rewards:
          Rafailov et al. 2023, arXiv:2305.18290, appendix A.3
Differs   the first paper has rewards of their own, linear in features
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor


def plackett_luce(
    ranking_logps: Float[Tensor, "B R"],
    ref_ranking_logps: Float[Tensor, "B R"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    rewards = beta * (ranking_logps - ref_ranking_logps)
    return (rewards.flip(-1).logcumsumexp(-1).flip(-1) - rewards).sum(-1)
