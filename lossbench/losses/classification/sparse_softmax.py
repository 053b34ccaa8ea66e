"""Sparse softmax: cross-entropy whose normaliser has only the k largest scores.

    l_i = log sum_{c in top k of s} exp(s_c) - s_y        s = logits_i,  y = targets_i

logits    [*, C] unnormalised scores s          targets   [*] class indices y
k         >= 2: how many scores are kept; C or more is cross_entropy
Returns   [*] loss per example, at most that of cross_entropy. Where y is not among the k largest it is still a loss,
          with gradient -1 on s_y, but not the logarithm of a probability
Numerics  log-sum-exp; the other classes get no gradient. Of equal scores at the k-th place, torch chooses
          which one is kept: the value does not depend on it, the gradient does
Paper     Sun et al. 2021, arXiv:2112.12433; k = 10 is its choice
Differs   nothing
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor


def sparse_softmax(
    logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"], *, k: Annotated[int, Ge(2)] = 10
) -> Float[Tensor, "*b"]:
    largest = logits.topk(min(k, logits.shape[-1]), -1).values
    return largest.logsumexp(-1) - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
