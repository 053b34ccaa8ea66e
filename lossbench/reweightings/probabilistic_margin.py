"""Probabilistic margin (MAIL): examples that the model gets wrong, or nearly, get more weight; the others hardly any.

    w_i proportional to 1 / (1 + exp(slope (m_i - offset)))        m_i = p_i[y_i] - max_{c != y_i} p_i[c]

with a mean of 1 over the batch, once the part ``start`` of the training is over; before, w_i = 1.

logits    [B, C] unnormalised scores, p_i = softmax(logits_i); of attacked inputs where it is adversarial training
targets   [B] class indices y                   progress  [] part of the training that is over
slope     >= 0; 0 weighs all alike              offset    of the margin where the weight is half its largest
start     in [0, 1]
Returns   [B] weight per example
Numerics  a softmax of logarithms of sigmoids, which cannot be 0 / 0
Paper     Wang et al. 2021, Probabilistic margins for instance reweighting in adversarial training, arXiv:2106.07904
Differs   the authors' code multiplies by 3 in the place of the normalisation. start: it begins after 75 of 120 epochs.
          slope = 10 and offset = 0.5 are said to be the paper's for cross-entropy; the text could not be consulted
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbench.ops import one_hot


def probabilistic_margin(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    progress: Float[Tensor, ""],
    *,
    slope: Annotated[float, Ge(0)] = 10.0,
    offset: Annotated[float, Interval(ge=-1, le=1)] = 0.5,
    start: Annotated[float, Interval(ge=0, le=1)] = 0.625,
) -> Float[Tensor, "B"]:
    p = logits.softmax(-1)
    true = one_hot(targets, logits.shape[-1], torch.bool)
    margins = torch.where(true, p, 0).sum(-1) - torch.where(true, 0, p).amax(-1)
    weights = len(logits) * logsigmoid(-slope * (margins - offset)).softmax(0)
    return torch.where(torch.as_tensor(progress, device=logits.device) >= start, weights, 1)
