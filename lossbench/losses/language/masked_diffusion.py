"""Masked diffusion: cross-entropy of the tokens that were hidden, weighted so that it bounds the likelihood.

    l_t = hidden_t / p (-log softmax(denoised_logits_t)[y_t])        p = noise_level, or the part that is hidden

denoised_logits  [B, T, C] unnormalised scores      targets      [B, T] class indices y
hidden           [B, T] true where y was hidden     noise_level  [B] the probability with which each was hidden
weighting   level: p is the noise level, and the mean over levels drawn from (0, 1) is a bound of -log p(y) / T;
            fraction: p is the part of the sequence that is hidden, so that each sequence has the same weight
Returns   [B, T] loss per token, 0 where nothing was hidden
Paper     Ni et al. 2025, arXiv:2511.03276
Differs   the authors' code weights by the fraction and hides one token where none was drawn; here such a sequence is 0
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def masked_diffusion(
    denoised_logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    hidden: Bool[Tensor, "B T"],
    noise_level: Float[Tensor, "B"],
    *,
    weighting: Literal["level", "fraction"] = "level",
) -> Float[Tensor, "B T"]:
    nll = -true_class_log_p(denoised_logits, targets)
    if weighting == "fraction":
        number = hidden.sum(-1).to(nll.dtype)
        share = number.clamp(min=1) / hidden.shape[-1]
    else:
        share = noise_level
    return torch.where(hidden, nll / share.unsqueeze(-1), 0.0)
