"""Attention entropy maximisation (AEM): the negative entropy of a bag's attention, so that it does not narrow to few.

    l_i = weight sum_m a_im log a_im        a_i = softmax(attention_scores_i)

attention_scores  [B, M] scores of a bag's instances, before the softmax
weight    >= 0 (the paper's lambda); 0 is no regularizer
Returns   [B] penalty per bag, in [-weight log M, 0]; its smallest value is that of equal attention
Numerics  log-softmax; an instance whose attention underflows adds 0
Paper     Zhang et al. 2024, arXiv:2406.15303; weight = 0.1 is the example of the authors' description, who try 0.001 to
          0.2
Differs   nothing; attention has one head, while the authors' code divides by the number of heads
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def attention_entropy(
    attention_scores: Float[Tensor, "B M"], *, weight: Annotated[float, Ge(0)] = 0.1
) -> Float[Tensor, "B"]:
    log_a = attention_scores.log_softmax(-1)
    return weight * (log_a.exp() * log_a).sum(-1)
