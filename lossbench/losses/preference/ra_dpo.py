"""Ra-DPO: TDPO whose KL of every next token is replaced by a risk measure of the log-ratio of reference to policy.

    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected
    R(y) = sum_t rho(log ref(z) / pi(z)), z ~ ref(. | y before t)        rho of the mean is the KL of tdpo
    entropic: rho(X) = 1/mu log E exp(mu X)        cvar: the mean of the largest X that have the probability level
    form 1: l_i = -log sigmoid(beta (h_i - (R(l_i) - R(w_i))))
    form 2: l_i = -log sigmoid(beta (h_i - alpha (R(l_i) - stopgrad(R(w_i)))))

chosen_logits        [B, T, C] unnormalised scores        ref_chosen_logits        [B, T, C] of the reference
rejected_logits      [B, T, C]                            ref_rejected_logits      [B, T, C]
chosen_token_logps   [B, T] log pi of each token          ref_chosen_token_logps   [B, T] of the reference
rejected_token_logps [B, T]                               ref_rejected_token_logps [B, T]
chosen_mask, rejected_mask   [B, T] true where a token is one of the completion
risk      cvar or entropic
level     of cvar, in (0, 1]; 1 is tdpo        mu   > 0, of entropic; near 0 is tdpo
form, alpha, beta   as in tdpo
Returns   [B] loss per pair
Numerics  as in tdpo; entropic with logsumexp
Paper     Zhang et al. 2025, arXiv:2505.20359: nested risk measures, Ra-DPO1 and Ra-DPO2. The entropic measure, mu = 5,
          level = 0.97 and alpha = 0.5 are from the authors' notes on their experiments; the equation of cvar was not
          seen, its level is read from their code, in which level near 1 keeps all tokens
Differs   the authors' code has for cvar the sum over the tokens above an unweighted quantile of the log-ratios, without
          division by their probability
"""

from functools import partial
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.token_risks import corrected_dpo, ratio_and_risk


def ra_dpo(
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
    risk: Literal["cvar", "entropic"] = "entropic",
    level: Annotated[float, Interval(gt=0, le=1)] = 0.97,
    mu: Annotated[float, Gt(0)] = 5.0,
    form: Literal[1, 2] = 2,
    alpha: Annotated[float, Ge(0)] = 0.5,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    measure = partial(_cvar, level=level) if risk == "cvar" else partial(_entropic, mu=mu)
    chosen = ratio_and_risk(
        chosen_token_logps, ref_chosen_token_logps, chosen_logits, ref_chosen_logits, chosen_mask, measure
    )
    rejected = ratio_and_risk(
        rejected_token_logps, ref_rejected_token_logps, rejected_logits, ref_rejected_logits, rejected_mask, measure
    )
    return corrected_dpo(chosen, rejected, form, alpha, beta)


def _entropic(log_ref: Tensor, log_p: Tensor, *, mu: float) -> Tensor:
    return (log_ref + mu * (log_ref - log_p)).logsumexp(-1) / mu


def _cvar(log_ref: Tensor, log_p: Tensor, *, level: float) -> Tensor:
    ratio, order = (log_ref - log_p).sort(-1, descending=True)
    p = log_ref.exp().gather(-1, order)
    counted = torch.minimum((level - (p.cumsum(-1) - p)).clamp(min=0), p)  # the last of them in part
    return (counted * ratio).sum(-1) / level
