"""RPO: DPO plus the likelihood of the chosen completion, which keeps the policy near what the data cover.

    l_i = -log sigmoid(beta h_i) - eta beta log pi(w_i)
    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
beta            > 0, as in dpo
eta             >= 0, of the likelihood; 0 is dpo
Returns   {preference, likelihood} [B] the two terms of each pair
Numerics  log sigmoid
Paper     Liu et al. 2024, arXiv:2405.16436, the objective with the chosen completions as baseline policy
Differs   of the authors' two codes one has this, with sums over tokens, the other eta times a mean over tokens
          without beta
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.losses.preference.dpo import dpo


def rpo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
    eta: Annotated[float, Ge(0)] = 0.005,
) -> dict[str, Float[Tensor, "B"]]:
    preference = dpo(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=beta)
    return {"preference": preference, "likelihood": -eta * beta * chosen_logps}
