"""Rationale contrast: cross-entropy, and one more among rationales: the true class is best told by a person's own.

    cross_entropy_i = (1 - weight) (-log softmax(logits_i)[y_i])
    rationale_i = weight (-log (exp r_i / (exp r_i + sum_s exp n_is)))
    r_i = rationale_logits_i[y_i]        n_is = negative_rationale_logits_is[y_i]        y = targets

logits                     [B, C] of the whole inputs           targets   [B] class indices
rationale_logits           [B, C] of the inputs reduced to their rationale
negative_rationale_logits  [B, S, C] of the inputs reduced to S random rationales
weight                     in [0, 1]: w2, w1 is 1 - w2; 0 is cross_entropy
Returns                    {"cross_entropy": [B], "rationale": [B]}
Numerics                   log-softmax over the S + 1 scores
Paper                      Resck, Raimundo and Poco 2024, arXiv:2404.03098, as its released code has it
Differs                    the mean over the examples for their sum; the code adds 0.5 alpha |w|^2, and searches the
                           weights with the NISE method
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor


def rationale_contrastive(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    rationale_logits: Float[Tensor, "B C"],
    negative_rationale_logits: Float[Tensor, "B S C"],
    *,
    weight: Annotated[float, Interval(ge=0, le=1)] = 0.5,
) -> dict[str, Float[Tensor, "B"]]:
    candidates = torch.cat([rationale_logits.unsqueeze(1), negative_rationale_logits], 1)  # [B, 1 + S, C]
    wanted = targets[:, None, None].expand(-1, candidates.shape[1], 1)
    scores = candidates.gather(-1, wanted).squeeze(-1)
    log_p = logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return {"cross_entropy": -(1 - weight) * log_p, "rationale": -weight * scores.log_softmax(-1)[:, 0]}
