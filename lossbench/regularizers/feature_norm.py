"""Feature norm: half the squared length of the features of each example.

    l_i = weight / 2 |h_i|^2

features  [*, D] output of the model's body, h
weight    >= 0; 0 is no penalty
Returns   [*] penalty per example
Numerics  no square root: smooth at h = 0
Paper     Zhu et al. 2021, arXiv:2105.02375, the penalty of the features in the unconstrained feature model
Differs   nothing
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def feature_norm(features: Float[Tensor, "*b D"], *, weight: Annotated[float, Ge(0)] = 1e-3) -> Float[Tensor, "*b"]:
    return weight / 2 * features.square().sum(-1)
