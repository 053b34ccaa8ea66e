"""Asymmetric (ASL): binary cross-entropy that focuses negatives more than positives and drops the easiest negatives.

    l_i = -1 / C sum_c ( y (1 - p)^gamma_positive log p + (1 - y) q^gamma_negative log(1 - q) )
    y = labels_i[c]        p = sigmoid(logits_i[c])        q = max(p - clip, 0)

logits    [*, C] unnormalised scores            labels    [*, C] indicators in [0, 1]
gamma_positive, gamma_negative   >= 0; both 0 with clip 0 is binary_cross_entropy
clip      in [0, 1): a negative with p <= clip has neither loss nor gradient
Returns   [*] loss per example, the mean over its labels
Numerics  log p by log-sigmoid; log(1 - q) as log(exp(log(1 - p)) + clip), finite for clip = 0 as p -> 1; powers by
          exponentials, or of an argument that is never 0. With clip > 0 a negative's loss is bounded: its gradient
          vanishes as p -> 1 (the paper wants this: such a negative may be a wrong label)
Paper     Ben-Baruch et al. 2020, arXiv:2009.14119; gamma_positive = 0, gamma_negative = 4, clip = 0.05 are its choice
Differs   the paper and the authors' code sum over the labels: C times ours, which is the mean so that it compares with
          binary_cross_entropy at the same learning rate. The authors' code also sums over the batch, has gamma_positive
          = 1 by default, cuts the gradient through the powers by default (here it is kept, as in the formula), and
          clamps the arguments of the logarithms at 1e-8, so that a positive with a score below -18.4 gets no gradient
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from jaxtyping import Float
from torch import Tensor


def asymmetric(
    logits: Float[Tensor, "*b C"],
    labels: Float[Tensor, "*b C"],
    *,
    gamma_positive: Annotated[float, Ge(0)] = 0.0,
    gamma_negative: Annotated[float, Ge(0)] = 4.0,
    clip: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
) -> Float[Tensor, "*b"]:
    log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = (gamma_positive * log_not_p).exp() * log_p

    p = logits.sigmoid()
    kept = p > clip
    log_clip = (clip * logits.new_ones(())).log()  # -inf for clip = 0: logaddexp then returns its first argument
    focus = torch.where(kept, p - clip, 1).pow(gamma_negative)
    negative = torch.where(kept, focus * torch.logaddexp(log_not_p, log_clip), 0)
    return -(labels * positive + (1 - labels) * negative).mean(-1)
