"""Rejection by cross-entropy: the logistic loss of whether an answer is right, with a confidence threshold built in.

    l_i = log(1 + exp(-a_i (r_i + log((1 - cost) / cost))))        r = acceptance_scores, a_i = +-1: acceptable_i or not

The shift makes 0 the right threshold: r_i > 0 where the probability that the answer is right is above 1 - cost.

acceptance_scores  [*] the rejector's scores        acceptable  [*] whether the frozen predictor's answer is right
cost      in (0, 1): of a rejection, where an accepted wrong answer costs 1
Returns   [*] loss per example
Numerics  softplus
Paper     Chow 1970, On optimum recognition error and reject tradeoff: the threshold; cross-entropy on whether the
          answer is right is a baseline of Mohri et al. 2024, arXiv:2301.09044
Differs   the threshold is usually applied to the probability afterwards; shifted into the score it is the same rule
"""

import math
from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus


def rejection_cross_entropy(
    acceptance_scores: Float[Tensor, "*b"],
    acceptable: Bool[Tensor, "*b"],
    *,
    cost: Annotated[float, Interval(gt=0, lt=1)] = 0.05,
) -> Float[Tensor, "*b"]:
    shifted = acceptance_scores + _log((1 - cost) / cost)
    return softplus(torch.where(acceptable, -shifted, shifted))


def _log(value: float | Tensor) -> float | Tensor:
    return value.log() if isinstance(value, Tensor) else math.log(value)
