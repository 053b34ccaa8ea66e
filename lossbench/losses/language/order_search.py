"""Order search: cross-entropy of a set's elements in an order that the model itself has drawn.

    l_t = - log softmax(logits_t)[y_t]          y = the elements of the set in the order drawn

    order: the next element is one of those that are left, with a probability that is proportional to the model's

ordered_logits   [B, T, C] unnormalised scores, given the elements before in that order
ordered_targets  [B, T] the elements in that order, then what ends the set
Returns   [B, T] loss per element
Paper     Vinyals et al. 2015, arXiv:1511.06391: an inexact search for the best order, whose likelihood is
          raised; the orders are drawn by task=set_generation, uniformly at first
Differs   nothing. No code of the authors was found
"""

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def order_search(ordered_logits: Float[Tensor, "B T C"], ordered_targets: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    return -true_class_log_p(ordered_logits, ordered_targets)
