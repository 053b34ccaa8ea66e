"""TDPO: DPO with the KL of every next token, of the rejected completion against that of the chosen one.

    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected
    K(y) = sum_t KL(ref(. | y before t) || pi(. | y before t))
    form 1: l_i = -log sigmoid(beta (h_i - (K(l_i) - K(w_i))))
    form 2: l_i = -log sigmoid(beta (h_i - alpha (K(l_i) - stopgrad(K(w_i)))))

chosen_logits        [B, T, C] unnormalised scores        ref_chosen_logits        [B, T, C] of the reference
rejected_logits      [B, T, C]                            ref_rejected_logits      [B, T, C]
chosen_token_logps   [B, T] log pi of each token          ref_chosen_token_logps   [B, T] of the reference
rejected_token_logps [B, T]                               ref_rejected_token_logps [B, T]
chosen_mask, rejected_mask   [B, T] true where a token is one of the completion
form      1 or 2
alpha     >= 0, of form 2; 0 is dpo
beta      > 0, as in dpo
Returns   [B] loss per pair
Numerics  log-probabilities; tokens that do not count are taken out of the scores before anything is computed
Paper     Zeng et al. 2024, arXiv:2404.11999, TDPO1 and TDPO2
Differs   nothing
"""

from typing import Annotated, Literal

from annotated_types import Ge, Gt
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import kl_divergence
from lossbench.token_risks import corrected_dpo, ratio_and_risk


def tdpo(
    chosen_logits: Float[Tensor, "B T C"],
    rejected_logits: Float[Tensor, "B T C"],
    ref_chosen_logits: Float[Tensor, "B T C"],
    ref_rejected_logits: Float[Tensor, "B T C"],
    chosen_token_logps: Float[Tensor, "B T"],
    rejected_token_logps: Float[Tensor, "B T"],
    ref_chosen_token_logps: Float[Tensor, "B T"],
    ref_rejected_token_logps: Float[Tensor, "B T"],
    chosen_mask: Bool[Tensor, "B T"],
    rejected_mask: Bool[Tensor, "B T"],
    *,
    form: Literal[1, 2] = 2,
    alpha: Annotated[float, Ge(0)] = 0.5,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    chosen = ratio_and_risk(
        chosen_token_logps, ref_chosen_token_logps, chosen_logits, ref_chosen_logits, chosen_mask, kl_divergence
    )
    rejected = ratio_and_risk(
        rejected_token_logps,
        ref_rejected_token_logps,
        rejected_logits,
        ref_rejected_logits,
        rejected_mask,
        kl_divergence,
    )
    return corrected_dpo(chosen, rejected, form, alpha, beta)
