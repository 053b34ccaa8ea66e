"""Number token loss (NTL): cross-entropy and, where the target is a number, how far off the expected number is.

    l_t = -log p_t[y_t] + weight n_t                  p_t = softmax(logits_t)
    n_t = d(q_t, v[y_t]) where y_t is a number, 0 elsewhere        q_t = softmax over the number tokens alone

    distance       d(q, v_y)
    wasserstein    sum_j q_j |v_y - v_j|, the Wasserstein-1 distance to the right number (NTL-WAS)
    squared        (v_y - sum_j q_j v_j)^2 (NTL-MSE)
    absolute       |v_y - sum_j q_j v_j|

logits         [*, C] unnormalised scores           targets   [*] class indices y
number_values  [C] the number v that each token stands for, NaN for what is no number
weight         >= 0 (the paper's lambda); 0 is cross_entropy
Returns        {cross_entropy: [*], number: [*]} per token
Numerics       log-softmax; where no token is a number, the second term is 0
Paper          Zausinger et al. 2024, arXiv:2411.02083; weight = 0.3 is theirs
Differs        the paper's mean of n_t is over the targets that are numbers, here the reduction divides by all that
               count: weight is relative to their share. The authors' package ntloss has a default (reweigh) that also
               punishes mass on other tokens; this is its reweigh=False, which is the paper's equation
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def number_token(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    number_values: Float[Tensor, "C"],
    *,
    weight: Annotated[float, Ge(0)] = 0.3,
    distance: Literal["wasserstein", "squared", "absolute"] = "wasserstein",
) -> dict[str, Float[Tensor, "*b"]]:
    number = ~number_values.isnan()
    values = torch.where(number, number_values, 0.0).to(logits.dtype)
    hidden = ~number & number.any()  # a softmax over nothing would be NaN
    q = logits.masked_fill(hidden, -torch.inf).softmax(-1)
    right = values[targets]
    if distance == "wasserstein":
        off = (q * (right.unsqueeze(-1) - values).abs()).sum(-1)
    else:
        gap = right - (q * values).sum(-1)
        off = gap.square() if distance == "squared" else gap.abs()
    return {
        "cross_entropy": -true_class_log_p(logits, targets),
        "number": weight * torch.where(number[targets], off, 0.0),
    }
