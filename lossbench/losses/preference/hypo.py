"""HyPO: DPO plus the KL to the reference over the policy's own completions.

    l_i = -log sigmoid(beta h_i) + weight KL(pi(. | x_i) || ref(. | x_i))
    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
policy_kl       [B] the KL of each prompt, with gradient: the exact sum over all completions
beta            > 0, as in dpo
weight          >= 0, of the KL; 0 is dpo
Returns   {preference, kl} [B] the two terms of each pair
Numerics  log sigmoid
Paper     Song et al. 2024, arXiv:2406.01462, HyPO
Differs   the paper estimates the KL and its gradient from samples of the policy; here it is the sum that these
          estimate, so that the data set must be one whose completions can be enumerated
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.losses.preference.dpo import dpo


def hypo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    policy_kl: Float[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
    weight: Annotated[float, Ge(0)] = 0.01,
) -> dict[str, Float[Tensor, "B"]]:
    preference = dpo(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, beta=beta)
    return {"preference": preference, "kl": weight * policy_kl}
