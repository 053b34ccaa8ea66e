"""DPA logic: a preference loss from two columns of the truth table of "the chosen, the rejected completion is valid".

    p = exp(1/|w| log pi(w))        q = exp(1/|l| log pi(l))        w: chosen, l: rejected
    both = p q        chosen = p (1 - q)        rejected = (1 - p) q        neither = (1 - p) (1 - q)
    l_i = -log sigmoid(beta log rho)            rho = (sum of ``positive`` rows) / (sum of ``negative`` rows)

With reference, rho is divided by the same odds of the reference, p_ref / q_ref. Some of the losses:

    positive both, chosen; negative rejected               p / ((1 - p) q), cCPO, which the authors found
    positive both, chosen; negative both, rejected         p / q, CPO; with the reference, DPO
    positive chosen; negative rejected                     the odds ratio of ORPO
    positive both, chosen; negative rejected, neither      p / (1 - p): cross-entropy

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)         chosen_lengths    [B] |w|
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)         rejected_lengths  [B] |l|
positive, negative  at least one of both, chosen, rejected, neither; a row may be in both columns
beta            > 0
reference       whether rho is relative to the reference
Returns   [B] loss per pair; it falls with every row that positive gets, and grows with every row that negative gets
Numerics  logarithms of the rows; log(1 - p) as ops.log1mexp
Paper     Richardson, Srikumar and Sabharwal 2024, arXiv:2412.17696: the semantic loss of a preference structure
Differs   the paper's losses with a reference are made from losses without one in the same way
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Len
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbench.ops import log1mexp

Row = Literal["both", "chosen", "rejected", "neither"]


def dpa_logic(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    chosen_lengths: Float[Tensor, "B"],
    rejected_lengths: Float[Tensor, "B"],
    *,
    positive: Annotated[Sequence[Row], Len(1)] = ("both", "chosen"),
    negative: Annotated[Sequence[Row], Len(1)] = ("rejected",),
    beta: Annotated[float, Gt(0)] = 1.0,
    reference: bool = False,
) -> Float[Tensor, "B"]:
    log_p, log_q = chosen_logps / chosen_lengths, rejected_logps / rejected_lengths
    log_not_p, log_not_q = log1mexp(log_p), log1mexp(log_q)
    rows: dict[Row, Tensor] = {
        "both": log_p + log_q,
        "chosen": log_p + log_not_q,
        "rejected": log_not_p + log_q,
        "neither": log_not_p + log_not_q,
    }
    up, down = (torch.stack([rows[row] for row in column]).logsumexp(0) for column in (positive, negative))
    log_rho = up - down
    if reference:
        log_rho = log_rho - (ref_chosen_logps / chosen_lengths - ref_rejected_logps / rejected_lengths)
    return -logsigmoid(beta * log_rho)
