"""Spectral decoupling: half the mean squared logit, in the place of weight decay.

    l_i = weight / 2 1/C sum_c (z_ic - centre)^2                       z = logits
    binary:  l_i = weight / 2 (f_i - centre)^2                         f_i = z_i1 - z_i0

Cross-entropy stops learning from examples that a dominant feature already classifies; a bound on the logits keeps the
gradient of the other features alive.

logits    [*, C] unnormalised scores
weight    >= 0; lambda, 0 is no penalty
centre    where the penalty is 0; the paper's gamma, which it sets apart for each class
binary    whether the penalty is of the one logit f of a binary problem, the difference of the two; only for C = 2
Returns   [*] penalty per example
Numerics  a square: smooth, and its gradient grows with the logits
Paper     Pezeshki et al. 2020, arXiv:2011.09468
Differs   the authors' code has no factor 1/2: their coefficients (0.003 for the two moons, 0.1 for CelebA) are
          weight / 2. In coloured MNIST it multiplies the cross-entropy by the coefficient too, after a number of
          steps. A centre for each class is not offered
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def spectral_decoupling(
    logits: Float[Tensor, "*b C"],
    *,
    weight: Annotated[float, Ge(0)] = 0.1,
    centre: float = 0.0,
    binary: bool = False,
) -> Float[Tensor, "*b"]:
    penalised = logits[..., 1:2] - logits[..., 0:1] if binary else logits
    return weight / 2 * (penalised - centre).square().mean(-1)
