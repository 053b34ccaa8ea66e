"""Confidence penalty: the negative entropy of the predictions.

    l_i = weight sum_c p_ic log p_ic        p_i = softmax(logits_i)

logits    [*, C] unnormalised scores
weight    >= 0; 0 is no penalty
Returns   [*] penalty per example, in [-weight log C, 0]
Numerics  log-softmax; a class whose p underflows adds 0
Paper     Pereyra et al. 2017, arXiv:1701.06548, section 3: -beta H(p) added to the loss
Differs   nothing
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def confidence_penalty(logits: Float[Tensor, "*b C"], *, weight: Annotated[float, Ge(0)] = 0.1) -> Float[Tensor, "*b"]:
    log_p = logits.log_softmax(-1)
    return weight * (log_p.exp() * log_p).sum(-1)
