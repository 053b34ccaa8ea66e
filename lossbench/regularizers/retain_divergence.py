"""Retain divergence: on what is to be kept, the model stays near the base model that it starts from.

    l_i = weight v_i KL(ref(. | x_i) || pi(. | x_i))        v_i = N / |retain set| for its members, 0 for others

base_divergence  [B] the divergence, with gradient        retain_weights  [B] as above
weight    >= 0; 0 is no term
Returns   [B] term per example; its mean over all training examples is weight times that over the retain set
Numerics  none needed
Paper     the retain term of NPO+KL, Zhang et al. 2024, arXiv:2404.05868, and of Maini et al. 2024, arXiv:2401.06121
Differs   the authors' code of NPO takes the mean over all places of the sequences, prompt and padding too
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def retain_divergence(
    base_divergence: Float[Tensor, "B"],
    retain_weights: Float[Tensor, "B"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
) -> Float[Tensor, "B"]:
    return weight * retain_weights * base_divergence
