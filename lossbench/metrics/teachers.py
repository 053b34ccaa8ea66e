"""Metrics of a student and its teacher: how far apart their distributions are."""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.metrics.ranking import precise
from lossbench.ops import kl_divergence


def teacher_metrics(logits: Float[Tensor, "N C"], teacher_logits: Float[Tensor, "N C"]) -> dict[str, Float[Tensor, ""]]:
    """Means over the examples, as 0-d tensors, with p the teacher's and q the student's probabilities:

    teacher_agreement    how often both have the same likeliest class
    teacher_divergence   KL(p || q), nats
    teacher_distance     total variation, half the sum of |p - q|
    """
    student, teacher = (precise(scores).log_softmax(-1) for scores in (logits, teacher_logits))
    return {
        "teacher_agreement": precise(student.argmax(-1) == teacher.argmax(-1)).mean(),
        "teacher_divergence": kl_divergence(teacher, student).mean(),
        "teacher_distance": total_variation(teacher, student).mean(),
    }


def total_variation(log_p: Float[Tensor, "*b C"], log_q: Float[Tensor, "*b C"]) -> Float[Tensor, "*b"]:
    return (torch.exp(log_p) - torch.exp(log_q)).abs().sum(-1) / 2
