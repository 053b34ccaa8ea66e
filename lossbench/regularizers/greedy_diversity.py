"""Greedy diversity: a new member of an ensemble stays away, as a function, from the members that are there.

    r = log sum_j exp(-scale d_j)        d_j = mean over the inputs u of |softmax f(u) - softmax f_j(u)|^2

spread_logits         [B, C] of the model f at inputs u that are spread wider than the data
frozen_spread_logits  [B, M, C] of the M members f_j, which do not change, at the same inputs
scale     >= 0: weight of the distance over the kernel's normaliser; 0 is the constant log M, no regularizer
Returns   [] one value for the batch. It does not add over micro-batches
Paper     Tiulpin and Blaschko 2021, arXiv:2105.14275; the form of the authors' code, the equations not seen; its README
          trains with a weight of 1 to 5, and the normaliser (ensemble.k) is not in its configs
Differs   the authors draw the inputs once and round them to bytes; ours are new in each step, see task=ensemble_member
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def greedy_diversity(
    spread_logits: Float[Tensor, "B C"],
    frozen_spread_logits: Float[Tensor, "B M C"],
    *,
    scale: Annotated[float, Ge(0)] = 3.0,
) -> Float[Tensor, ""]:
    apart = spread_logits.softmax(-1).unsqueeze(-2) - frozen_spread_logits.softmax(-1)
    return (-scale * apart.square().sum(-1).mean(0)).logsumexp(0)
