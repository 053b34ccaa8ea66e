"""DLLP: proportion matching, cross-entropy between a bag's proportions and the mean prediction of its members.

    l = -sum_c proportions[c] log q[c]        q = 1 / M sum_j softmax(bag_logits_j)

bag_logits   [B, M, C] scores of the members    proportions  [B, C] part of each class in the bag
Returns   [B] loss per bag; M = 1 is cross_entropy
Numerics  log q as a log-sum-exp of log-softmax: no probability underflows
Paper     Ardehaly and Culotta 2017, arXiv:1709.04108, the batch-averaging layer with the KL divergence
Differs   without the entropy of the proportions, a constant that makes it the KL divergence
"""

import math

from jaxtyping import Float
from torch import Tensor


def dllp(bag_logits: Float[Tensor, "B M C"], proportions: Float[Tensor, "B C"]) -> Float[Tensor, "B"]:
    log_q = bag_logits.log_softmax(-1).logsumexp(1) - math.log(bag_logits.shape[1])
    return -(proportions * log_q).sum(-1)
