"""MMPO: DPO with soft labels, which follow from how much better the chosen completion was rated.

    l_i = -p_i log sigmoid(beta h_i) - (1 - p_i) log sigmoid(-beta h_i)        p_i = sigmoid(gamma m_i)
    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
reward_margins  [B] m, score of the chosen completion minus that of the rejected one
gamma           > 0, log-odds that a unit of the scores is worth; large is dpo, where all margins are positive
beta            > 0, as in dpo
Returns   [B] loss per pair; where the margin is the true difference of rewards and gamma = 1, its expectation is that
          of dpo over labels that are drawn
Numerics  log sigmoid
Paper     Kim et al. 2024, arXiv:2410.03145
Differs   the authors' code works for batches of one pair
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def mmpo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    reward_margins: Float[Tensor, "B"],
    *,
    gamma: Annotated[float, Gt(0)] = 1.0,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    u = beta * ((chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps))
    m = gamma * reward_margins
    return -m.sigmoid() * logsigmoid(u) - (-m).sigmoid() * logsigmoid(-u)
