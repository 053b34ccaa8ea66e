"""SuperHF: likelihood of the best of several completions that the policy has sampled, and a KL to the reference.

    l_i = -mean_t log pi(w_t) + beta mean_t max(0, KL_t)        w: chosen, the sample with the highest reward
    KL_t = KL(pi(. | w_<t) || ref(. | w_<t)), or the other way round, over all tokens of the vocabulary

beta = 0 is fine-tuning on the best of n samples, again and again; with one sample it is likelihood of own samples.

chosen_token_logps  [B, T] log pi of the tokens; 0 where ``chosen_mask`` is false
chosen_logits       [B, T, C] of the policy      ref_chosen_logits  [B, T, C] of the reference
chosen_mask         [B, T] true where a target is a token of the completion
direction   policy: KL(policy || reference), as the paper says; reference: KL(reference || policy), as its code has it
beta        >= 0, of the KL
Returns   {likelihood, kl} [B] the two terms of each example
Numerics  log softmax
Paper     Mukobi et al. 2023, arXiv:2310.16763
Differs   beta's default is from memory, about 0.35 in the main runs. The code has the KL the other way round, adds it
          up over the examples of a batch, and takes it at the places after the right ones; here each example has the
          mean over the places whose targets are its tokens
"""

from typing import Annotated, Literal

from annotated_types import Ge
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import kl_divergence, masked_mean


def superhf(
    chosen_token_logps: Float[Tensor, "B T"],
    chosen_logits: Float[Tensor, "B T C"],
    ref_chosen_logits: Float[Tensor, "B T C"],
    chosen_mask: Bool[Tensor, "B T"],
    *,
    direction: Literal["policy", "reference"] = "policy",
    beta: Annotated[float, Ge(0)] = 0.35,
) -> dict[str, Float[Tensor, "B"]]:
    pair = chosen_logits.log_softmax(-1), ref_chosen_logits.log_softmax(-1)
    kl = kl_divergence(*(pair if direction == "policy" else pair[::-1])).clamp(min=0)
    return {
        "likelihood": -masked_mean(chosen_token_logps, chosen_mask, -1),
        "kl": beta * masked_mean(kl, chosen_mask, -1),
    }
