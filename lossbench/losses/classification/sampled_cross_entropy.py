"""Sampled cross-entropy: the mean of the cross-entropy over several draws of the model's own noise.

    l_i = 1 / S sum_s -log softmax(sampled_logits_is)[y_i]

sampled_logits  [B, S, C] scores under each draw, such as a dropout mask   targets   [B] class indices y
Returns   [B] loss per example. By Jensen's inequality it is at least the cross-entropy of the mean logits
Numerics  log-softmax
Paper     Inoue 2019, arXiv:1905.09788, the loss of multi-sample dropout (head=multi_sample_dropout)
Differs   nothing
"""

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def sampled_cross_entropy(sampled_logits: Float[Tensor, "B S C"], targets: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
    same_target = targets.unsqueeze(-1).expand(sampled_logits.shape[:-1])
    return -true_class_log_p(sampled_logits, same_target).mean(-1)
