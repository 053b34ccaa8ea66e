"""Probability-weighted cross-entropy: each label weighs as the probability that the teacher sampled it with.

    l_i = - exp(teacher_target_log_p_i) log softmax(logits_i)[y_i]

Labels come already as often as they are likely, so that the student of infinitely many has probabilities in proportion
to the squares of the teacher's: a biased one. It is here as the baseline that it is in the paper.

logits    [*, C] unnormalised scores            targets   [*] class indices y, sampled by the teacher
teacher_target_log_p  [*] the teacher's log-probability of them, without gradient
Returns   [*] loss
Numerics  a log-probability above 0 counts as 0, so that what stands under a mask cannot overflow
Paper     Zhao and Zhu 2023, arXiv:2310.07838: the naive adaptation of cross-entropy
Differs   nothing that is known
"""

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import stopgrad, true_class_log_p


def probability_weighted_cross_entropy(
    logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"], teacher_target_log_p: Float[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    return -stopgrad(teacher_target_log_p).clamp(max=0).exp() * true_class_log_p(logits, targets)
