"""Skew-KL distillation: the divergence to a mix of both distributions, which is never far from either.

    forward   KL(p_i || skew p_i + (1 - skew) q_i)        p_i = softmax(teacher_logits_i)
    reverse   KL(q_i || (1 - skew) p_i + skew q_i)        q_i = softmax(logits_i)

logits    [*, C] unnormalised scores
teacher_logits  [*, C] scores of the teacher, without gradient
skew      in [0, 1): 0 is the plain divergence
direction  forward or reverse
Returns   [*] divergence, at most -log(skew)
Numerics  the mix as logaddexp of log-softmaxes
Paper     Ko et al. 2024, DistiLLM, arXiv:2402.03898, skew 0.1
Differs   nothing in the divergence; the paper also chooses between data and student's samples by an adaptive scheduler
"""

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad


def skew_kl_distillation(
    logits: Float[Tensor, "*b C"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    skew: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
    direction: Literal["forward", "reverse"] = "forward",
) -> Float[Tensor, "*b"]:
    teacher, student = stopgrad(teacher_logits).log_softmax(-1), logits.log_softmax(-1)
    first, second = (teacher, student) if direction == "forward" else (student, teacher)
    share = torch.zeros_like(first) + skew
    return kl_divergence(first, torch.logaddexp(share.log() + first, torch.log1p(-share) + second))
