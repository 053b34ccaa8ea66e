"""SMILE: cross-entropy whose softmax runs over the words of the reference alone, so that other words go unpunished.

    l_t = -log( exp(z_t[y_t]) / sum_{v in V} exp(z_t[v]) )
    mixed: mle_weight (-log p_t[y_t]) + (1 - mle_weight) l_t

    subset      V
    reference   the tokens of this sequence's targets: a more specific word that is not there costs nothing
    reverse     all other tokens and y_t: a shorter description costs nothing

    At the first token that counts V is the whole vocabulary, with first_token_mle.

logits           [B, T, C] unnormalised scores z    targets   [B, T] class indices y
mask             [B, T] true where a token belongs to the reference; its end sign does, padding does not
subset           as above
first_token_mle  whether a description begins as the references do
mle_weight       in [0, 1] (the paper's lambda); 1 is cross_entropy
Returns          [B, T] loss per token, >= 0 where the mask is true; a reference of one word repeated has 0
Numerics         log-sum-exp over the subset
Paper            Yue et al. 2023, arXiv:2306.13460
Differs          the paper's mean is over the tokens of a sentence and then over sentences: reduction=sequence_mean; the
                 authors' code has that over all tokens, reduction=mean
"""

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float, Int
from torch import Tensor


def semipermeable_likelihood(
    logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    subset: Literal["reference", "reverse"] = "reference",
    first_token_mle: bool = True,
    mle_weight: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> Float[Tensor, "B T"]:
    own = targets.unsqueeze(-1) == torch.arange(logits.shape[-1], device=logits.device)
    there = (own & mask.unsqueeze(-1)).any(1, keepdim=True)
    allowed = (there if subset == "reference" else ~there) | own
    if first_token_mle:
        first = mask & (mask.cumsum(1) == 1)
        allowed = allowed | first.unsqueeze(-1)
    of_target = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    smile = logits.masked_fill(~allowed, -torch.inf).logsumexp(-1) - of_target
    return mle_weight * (logits.logsumexp(-1) - of_target) + (1 - mle_weight) * smile
