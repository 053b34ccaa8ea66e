"""Adaptive-KL distillation (AKL): forward and reverse KL, mixed for each element by where the student is still off.

    forward   h_i / (h_i + t_i) KL(p_i || q_i)        p_i = softmax(teacher_logits_i)
    reverse   t_i / (h_i + t_i) KL(q_i || p_i)        q_i = softmax(logits_i)
    h_i       sum of |p_ic - q_ic| over the head: the likeliest classes of the teacher, as long as their probabilities
              add up to at most ``head``, the first one always        t_i the same over the others, the tail

Forward KL fits the head first, reverse KL the tail.

logits    [*, C] unnormalised scores
teacher_logits  [*, C] scores of the teacher, without gradient
head      in [0, 1]: probability of the head
Returns   {"forward": [*], "reverse": [*]}; the shares h and t carry no gradient
Numerics  sums up to head + 1e-6 are in the head, so that head = 1 is all of it in spite of
          rounding; where student and teacher agree in everything (h = t = 0) both shares are 1/2
Paper     Wu et al. 2024, arXiv:2404.02657, section 4; head = 0.5
Differs   the authors' code divides 0 by 0 where student and teacher agree, which makes the loss of the batch NaN
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad


def adaptive_kl_distillation(
    logits: Float[Tensor, "*b C"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    head: Annotated[float, Interval(ge=0, le=1)] = 0.5,
) -> dict[str, Float[Tensor, "*b"]]:
    teacher, student = stopgrad(teacher_logits).log_softmax(-1), logits.log_softmax(-1)
    p, order = teacher.exp().sort(dim=-1, descending=True, stable=True)
    gaps = (p - stopgrad(student).exp().gather(-1, order)).abs()
    likeliest = torch.arange(p.shape[-1], device=p.device) == 0
    in_head = (p.cumsum(-1) <= head + 1e-6) | likeliest
    zero = torch.zeros_like(gaps)
    of_head, of_tail = torch.where(in_head, gaps, zero).sum(-1), torch.where(in_head, zero, gaps).sum(-1)
    both = of_head + of_tail
    agree = both == 0
    share = torch.where(agree, 0.5, of_head / torch.where(agree, 1.0, both))
    return {
        "forward": share * kl_divergence(teacher, student),
        "reverse": (1 - share) * kl_divergence(student, teacher),
    }
