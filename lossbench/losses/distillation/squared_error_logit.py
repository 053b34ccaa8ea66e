"""Squared error logit (ESEL): the log-probability of each label drawn to the one that the teacher sampled it with.

    l_i = (log softmax(logits_i)[y_i] - teacher_target_log_p_i)^2

For teachers that say a label and its probability, and nothing of the other labels: a student that has every seen label
right has loss 0, however often each was seen.

logits    [*, C] unnormalised scores            targets   [*] class indices y, sampled by the teacher
teacher_target_log_p  [*] the teacher's log-probability of them, without gradient
Returns   [*] loss
Numerics  none needed
Paper     Zhao and Zhu 2023, arXiv:2310.07838: the empirical squared error logit loss, for labels with probabilities
Differs   nothing that is known; the formula was checked against its properties, not against the paper's numbering
"""

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import stopgrad, true_class_log_p


def squared_error_logit(
    logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"], teacher_target_log_p: Float[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    return (true_class_log_p(logits, targets) - stopgrad(teacher_target_log_p)).square()
