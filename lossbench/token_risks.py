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


def ratio_and_risk(
    token_logps: Float[Tensor, "B T"],
    ref_token_logps: Float[Tensor, "B T"],
    logits: Float[Tensor, "B T C"],
    ref_logits: Float[Tensor, "B T C"],
    mask: Bool[Tensor, "B T"],
    risk: TokenRisk,
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """Of a completion: log(pi / ref), and the risks of its tokens."""
    ratio = masked(token_logps - ref_token_logps, mask).sum(-1)
    return ratio, token_risks(ref_logits, logits, mask, risk).sum(-1)


def corrected_dpo(
    chosen: tuple[Tensor, Tensor], rejected: tuple[Tensor, Tensor], form: int, alpha: float, beta: float
) -> Float[Tensor, "B"]:
    """chosen, rejected   (ratio, risk) [B] of both completions"""
    (up, risk), (down, other_risk) = chosen, rejected
    correction = other_risk - risk if form == 1 else alpha * (other_risk - stopgrad(risk))
    return -logsigmoid(beta * (up - down - correction))
