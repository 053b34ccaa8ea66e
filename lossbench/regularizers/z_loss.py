"""z-loss: the squared logarithm of the softmax's normaliser, which keeps the logits from drifting away together.

    l_i = weight (log sum_c exp(logits_ic))^2

logits    [*, C] unnormalised scores
weight    >= 0; 0 is no penalty
Returns   [*] penalty per example
Numerics  log-sum-exp
Paper     Chowdhery et al. 2022 (PaLM), arXiv:2204.02311; weight = 1e-4 is theirs
Differs   nothing. Not the Z-loss of de Brébisson and Vincent 2016, a loss on standardised scores. With
          linear_cross_entropy, whose logits are never all there, the term is loss.z_weight
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def z_loss(logits: Float[Tensor, "*b C"], *, weight: Annotated[float, Ge(0)] = 1e-4) -> Float[Tensor, "*b"]:
    return weight * logits.logsumexp(-1).square()
