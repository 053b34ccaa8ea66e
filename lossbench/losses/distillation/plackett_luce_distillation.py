"""Plackett-Luce distillation (PLD): the student ranks the true class first and the others as the teacher does.

    l_i = - sum_k w_k (s_k - log sum_{j >= k} exp(s_j))        s the logits of the student in the order of the ranking
    w_k = softmax(teacher_logits_i / T) of the k-th class      T = temperature

The ranking has the true class, then the other classes by falling score of the teacher.

logits    [*, C] unnormalised scores            targets   [*] class indices
teacher_logits  [*, C] scores of the teacher, without gradient
temperature  > 0: of the teacher's weights; a teacher that is sure of the true class leaves cross_entropy
Returns   [*] loss
Numerics  log-sums from the end of the ranking by logcumsumexp; ties of the teacher keep the order of the classes
Paper     Bassam et al. 2025, arXiv:2506.12542
Differs   nothing that is known; the construction is that of the paper's abstract and of an implementation by others
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import stopgrad


def plackett_luce_distillation(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    temperature: Annotated[float, Gt(0)] = 1.0,
) -> Float[Tensor, "*b"]:
    teacher = stopgrad(teacher_logits)
    true = targets.unsqueeze(-1) == torch.arange(logits.shape[-1], device=logits.device)
    ranking = teacher.masked_fill(true, torch.inf).argsort(dim=-1, descending=True, stable=True)
    weights = (teacher / temperature).softmax(-1).gather(-1, ranking)
    ranked = logits.gather(-1, ranking)
    log_sums = ranked.flip(-1).logcumsumexp(-1).flip(-1)
    return (weights * (log_sums - ranked)).sum(-1)
