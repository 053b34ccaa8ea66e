"""What the token-level relatives of DPO share: a risk of every next token, and the margin that it corrects."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbench.ops import stopgrad

TokenRisk = Callable[[Tensor, Tensor], Tensor]  # (log ref [B, T, C], log pi [B, T, C]) -> [B, T]


def masked(values: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    return torch.where(mask, values, 0.0)


def token_risks(
    ref_logits: Float[Tensor, "B T C"], logits: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"], risk: TokenRisk
) -> Float[Tensor, "B T"]:
    """risk(log ref, log pi) of every next token that counts, 0 for the others."""
    log_ref, log_p = (torch.where(mask.unsqueeze(-1), v, 0.0).log_softmax(-1) for v in (ref_logits, logits))
    return masked(risk(log_ref, log_p), mask)


def corrected_dpo(
    margin: Float[Tensor, "B"],
    chosen: Float[Tensor, "B"],
    rejected: Float[Tensor, "B"],
    form: int,
    alpha: float,
    beta: float,
) -> Float[Tensor, "B"]:
    correction = rejected - chosen if form == 1 else alpha * (rejected - stopgrad(chosen))
    return -logsigmoid(beta * (margin - correction))
