"""Hinge: what the true class lacks of a lead of one.

    l_i = max(0, 1 - s_i)        s_i = logits_i[y_i] - max_{c != y_i} logits_i[c]

logits    [*, C] scores                         targets   [*] class indices y
Returns   [*] loss per example; 0, without gradient, for a lead of one or more
Numerics  plain; of several other classes with the same largest score, each gets a part of the gradient
Paper     Cortes and Vapnik 1995, Support-vector networks; more than two classes as in Crammer and Singer 2001
Differs   for two classes, f(x) of the binary form is the difference of the two scores
"""

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import margin


def hinge(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return (1 - margin(logits, targets)).clamp(min=0)
