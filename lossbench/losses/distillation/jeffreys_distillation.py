"""Jeffreys distillation: a fixed mix of the KL from the teacher to the student and of the KL back.

    forward   (1 - share) KL(p_i || q_i)            p_i = softmax(teacher_logits_i / T)
    reverse   share KL(q_i || p_i)                  q_i = softmax(logits_i / T)        T = temperature

logits    [*, C] unnormalised scores
teacher_logits  [*, C] scores of the teacher, without gradient
share     in [0, 1]: of the reverse divergence; 1/2 is half of Jeffreys' divergence, 1 is reverse_kl_distillation
temperature  > 0: divides both scores
Returns   {"forward": [*], "reverse": [*]}
Numerics  both sides as log-softmax; a class whose probability underflows adds 0
Paper     Jeffreys 1946; as a baseline with share 1/2 in Wu et al. 2024, arXiv:2404.02657
Differs   nothing
"""

from typing import Annotated

from annotated_types import Gt, Interval
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad


def jeffreys_distillation(
    logits: Float[Tensor, "*b C"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    share: Annotated[float, Interval(ge=0, le=1)] = 0.5,
    temperature: Annotated[float, Gt(0)] = 1.0,
) -> dict[str, Float[Tensor, "*b"]]:
    teacher = stopgrad(teacher_logits / temperature).log_softmax(-1)
    student = (logits / temperature).log_softmax(-1)
    return {
        "forward": (1 - share) * kl_divergence(teacher, student),
        "reverse": share * kl_divergence(student, teacher),
    }
