"""Retain cross-entropy: what is to be kept is learned on, while something else is unlearned.

    l_i = -weight v_i log pi(y_i | x_i)        v_i = N / |retain set| for its members, 0 for others

completion_logps  [B] log pi(y | x)        retain_weights  [B] as above
weight    >= 0; 0 is no term
Returns   [B] term per example; its mean over all training examples is weight times that over the retain set
Numerics  none needed
Paper     the retain term of gradient difference, Maini et al. 2024, arXiv:2401.06121, and of NPO+RT, Zhang et al. 2024,
          arXiv:2404.05868
Differs   of sequences it is the sum over the tokens, as the terms on the forget set are; the authors' code of NPO has
          the mean over tokens here
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def retain_cross_entropy(
    completion_logps: Float[Tensor, "B"],
    retain_weights: Float[Tensor, "B"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
) -> Float[Tensor, "B"]:
    return -weight * retain_weights * completion_logps
