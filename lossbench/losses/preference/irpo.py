"""IRPO: DPO plus the likelihood of the chosen completion per token; of the paper, the loss of one iteration.

    l_i = -log sigmoid(beta h_i) - alpha log pi(w_i) / |w_i|
    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
chosen_lengths  [B] |w|, tokens of the chosen completion
beta            > 0, as in dpo
alpha           >= 0, of the likelihood; 0 is dpo
Returns   {preference, likelihood} [B] the two terms of each pair
Numerics  log sigmoid
Paper     Pang et al. 2024, arXiv:2404.19733, eq. 1, which divides the first term by the lengths of neither
Differs   some libraries take the mean over all tokens of the batch for the second term
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.losses.preference.dpo import dpo


def irpo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    chosen_lengths: Float[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
    alpha: Annotated[float, Ge(0)] = 1.0,
) -> dict[str, Float[Tensor, "B"]]:
    preference = dpo(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=beta)
    return {"preference": preference, "likelihood": -alpha * chosen_logps / chosen_lengths}
