"""Sinkhorn distillation (SinKD): the distributions of a batch moved onto those of the teacher at the least cost.

    cross_entropy   (1 - alpha) (-log softmax(logits_i)[y_i])
    distillation    alpha (- sum_c Q_ic log P_ic)        P = softmax(logits / T), Q = softmax(teacher_logits / T)
    sinkhorn        weight B sum_j Pi_ij W_ij            W_ij = sum_c |P_ic - Q_jc|, T = temperature

Pi is exp(-W / smoothing) after ``iterations`` rounds in which its rows, then its columns are divided by their sums; it
carries gradient. The mean over the batch of the last term is weight times the sum of Pi W.

logits    [B, C] unnormalised scores            targets   [B] class indices y
teacher_logits  [B, C] scores of the teacher, without gradient
alpha     in [0, 1]: share of the teacher        weight   >= 0, of the sum over the batch: it grows with the batch
temperature  > 0        smoothing  > 0        iterations  >= 1
Returns   {"cross_entropy": [B], "distillation": [B], "sinkhorn": [B]}
Numerics  Pi as its logarithm
Paper     Cui et al. 2024, arXiv:2402.17110, and the authors' code: alpha 0.8, temperature 2, smoothing 0.1, 20 rounds,
          weight 0.001 for encoders
Differs   nothing from the code, whose distillation term is not multiplied by T^2
"""

from typing import Annotated

from annotated_types import Ge, Gt, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import stopgrad, true_class_log_p


def sinkhorn_distillation(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    teacher_logits: Float[Tensor, "B C"],
    *,
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.8,
    weight: Annotated[float, Ge(0)] = 0.001,
    temperature: Annotated[float, Gt(0)] = 2.0,
    smoothing: Annotated[float, Gt(0)] = 0.1,
    iterations: Annotated[int, Ge(1)] = 20,
) -> dict[str, Float[Tensor, "B"]]:
    student = (logits / temperature).log_softmax(-1)
    teacher = stopgrad(teacher_logits / temperature).softmax(-1)
    cost = (student.exp().unsqueeze(-2) - teacher).abs().sum(-1)
    log_plan = -cost / smoothing
    for _ in range(iterations):
        log_plan = log_plan.log_softmax(-1).log_softmax(-2)
    return {
        "cross_entropy": -(1 - alpha) * true_class_log_p(logits, targets),
        "distillation": -alpha * (teacher * student).sum(-1),
        "sinkhorn": weight * len(logits) * (log_plan.exp() * cost).sum(-1),
    }
