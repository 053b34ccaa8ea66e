"""Distillation: cross-entropy with the labels plus agreement with a frozen teacher's softened probabilities.

    cross_entropy   (1 - alpha) (-log softmax(logits_i)[y_i])
    distillation    alpha T^2 KL(softmax(teacher_logits_i / T) || softmax(logits_i / T))        T = temperature

logits    [*, C] unnormalised scores            targets   [*] class indices y
teacher_logits  [*, C] scores of the teacher, without gradient
alpha     in [0, 1]: share of the teacher; 0 is cross_entropy
temperature  > 0: divides both scores; T^2 keeps the gradient's size as T grows
Returns   {"cross_entropy": [*], "distillation": [*]}
Numerics  both sides as log-softmax; a class that the teacher's probability underflows for adds 0
Paper     Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2
Differs   the paper has cross-entropy with the teacher's probabilities; the KL is that minus the teacher's entropy: the
          same gradient, and 0 where the two agree. The paper tunes both weights; the defaults are common later practice
"""

from typing import Annotated

from annotated_types import Gt, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad, true_class_log_p


def distillation(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.9,
    temperature: Annotated[float, Gt(0)] = 4.0,
) -> dict[str, Float[Tensor, "*b"]]:
    teacher = stopgrad(teacher_logits / temperature).log_softmax(-1)
    student = (logits / temperature).log_softmax(-1)
    return {
        "cross_entropy": -(1 - alpha) * true_class_log_p(logits, targets),
        "distillation": alpha * temperature**2 * kl_divergence(teacher, student),
    }
