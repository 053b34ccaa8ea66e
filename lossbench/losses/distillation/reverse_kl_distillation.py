"""Reverse-KL distillation: the student pays for probability that it puts where the teacher has little.

    l_i = KL(softmax(logits_i / T) || softmax(teacher_logits_i / T))        T = temperature

logits    [*, C] unnormalised scores
teacher_logits  [*, C] scores of the teacher, without gradient
temperature  > 0: divides both scores
Returns   [*] divergence
Numerics  both sides as log-softmax; a class that the student's probability underflows for adds 0
Paper     the divergence of MiniLLM: Gu et al. 2023, arXiv:2306.08543, here token by token as in Wu et al. 2024,
          arXiv:2404.02657, who have it as a baseline
Differs   MiniLLM has the divergence of whole sequences of the student, by policy gradients; this is that of each token
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad


def reverse_kl_distillation(
    logits: Float[Tensor, "*b C"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    temperature: Annotated[float, Gt(0)] = 1.0,
) -> Float[Tensor, "*b"]:
    teacher = stopgrad(teacher_logits / temperature).log_softmax(-1)
    return kl_divergence((logits / temperature).log_softmax(-1), teacher)
