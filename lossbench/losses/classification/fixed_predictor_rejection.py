"""Rejection with a fixed predictor: an exponential surrogate whose rejector accepts where its score is positive.

    l_i = exp(alpha / 2 (r_i - a_i)) + cost exp(-beta r_i)        r = acceptance_scores, a_i = +-1: acceptable_i or not
    beta = alpha / (2 cost) (cost exp(alpha / 2) + (1 - cost) exp(-alpha / 2))

It stands for 1[a_i = -1, r_i > 0] + cost 1[r_i <= 0], and beta makes 0 the right threshold: where answers are wrong
with probability q, the best r is positive if and only if q < cost.

acceptance_scores  [*] the rejector's scores        acceptable  [*] whether the frozen predictor's answer is right
cost      in (0, 1): of a rejection, where an accepted wrong answer costs 1
alpha     > 0: steepness
Returns   [*] loss per example
Numerics  beyond exponents of 30 the exponentials go on as straight lines of their slope there, so that float32 holds
Paper     Mohri et al. 2024, arXiv:2301.09044, of which the text could not be had: the sum and the condition on beta are
          those of a caption that a review quotes, alpha = 4 is what a referee says of the experiments. That this beta,
          and no other, puts the threshold at 0 is derived here and tested
Differs   the straight lines
"""

import math
from typing import Annotated

from annotated_types import Gt, Interval
from jaxtyping import Bool, Float
from torch import Tensor

LARGEST_EXPONENT = 30.0


def fixed_predictor_rejection(
    acceptance_scores: Float[Tensor, "*b"],
    acceptable: Bool[Tensor, "*b"],
    *,
    cost: Annotated[float, Interval(gt=0, lt=1)] = 0.05,
    alpha: Annotated[float, Gt(0)] = 4.0,
) -> Float[Tensor, "*b"]:
    beta = alpha / (2 * cost) * (cost * math.e ** (alpha / 2) + (1 - cost) * math.e ** (-alpha / 2))
    answer = 2 * acceptable.to(acceptance_scores.dtype) - 1
    accepted = _exponential(alpha / 2 * (acceptance_scores - answer))
    return accepted + cost * _exponential(-beta * acceptance_scores)


def _exponential(exponent: Tensor) -> Tensor:
    return exponent.clamp(max=LARGEST_EXPONENT).exp() * (1 + (exponent - LARGEST_EXPONENT).clamp(min=0))
