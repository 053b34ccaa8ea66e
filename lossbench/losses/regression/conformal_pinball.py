"""Conformal pinball: the quantile loss of thresholds on nonconformity scores.

    l_i = level max(s_i - h_i, 0) + (1 - level) max(h_i - s_i, 0)        h = thresholds, s = nonconformity_scores

Its mean is lowest where h is the conditional level-quantile of the score: sets of all labels whose score is at most h
then hold the right label with probability level, in every part of the inputs that the family of thresholds can tell.

thresholds  [*] largest score that the prediction set of each input takes in
nonconformity_scores  [*] score of the right label
level     in (0, 1): wanted coverage
Returns   [*] loss per example
Numerics  piecewise linear
Paper     Koenker and Bassett 1978, Regression quantiles; for thresholds of conformal sets: Joshi et al. 2025,
          arXiv:2502.13030, section 3, whose alpha is 1 - level
Differs   with one threshold for all inputs, split conformal prediction takes the ceil((n + 1) level)-th score; this is
          minimised by the n level-th. A threshold at a score has the slope of one above it
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor


def conformal_pinball(
    thresholds: Float[Tensor, "*b"],
    nonconformity_scores: Float[Tensor, "*b"],
    *,
    level: Annotated[float, Interval(gt=0, lt=1)] = 0.9,
) -> Float[Tensor, "*b"]:
    excess = nonconformity_scores - thresholds
    return torch.where(excess > 0, level * excess, (level - 1) * excess)
