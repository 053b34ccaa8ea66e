"""Hybrid prediction: cross-entropy for normal events; labelled abnormal ones push probability to all other classes.

    l_i = -log p_i[y_i]                                                          of a normal event
    l_i = (1 + weight) * mean of -log p_i[c] over the classes c other than y_i   of an abnormal one
    p_i = softmax(logits_i)

logits     [*, C] unnormalised scores, C >= 2
targets    [*] class indices y of what was observed, such as the next activity of a user
anomalies  [*] true for events that are known to be abnormal
weight     >= -1: an abnormal event counts 1 + weight times; -1 leaves abnormal events out
Returns    [*] loss per example; without abnormal events it is cross_entropy
Numerics   the sum over the other classes is that over all minus the own one
Paper      Cai et al. 2024, arXiv:2403.09209; form and weight = 10 as in the authors' code, the equations not seen
Differs    nothing from the code, which divides the weighted sum by the number of examples too; its regulariser of
           learned neighbour graphs belongs to its encoder and is not part of the loss
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Bool, Float, Int
from torch import Tensor


def hybrid_prediction(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    anomalies: Bool[Tensor, "*b"],
    *,
    weight: Annotated[float, Ge(-1)] = 10.0,
) -> Float[Tensor, "*b"]:
    log_p = logits.log_softmax(-1)
    own = log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    others = (log_p.sum(-1) - own) / (logits.shape[-1] - 1)
    return torch.where(anomalies, -(1 + weight) * others, -own)
