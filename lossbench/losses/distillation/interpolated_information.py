"""Interpolated information (MI-alpha): distillation, and a bound on what the student's features say of the teacher's.

    cross_entropy, distillation   those of loss=distillation
    information   - weight I_j        I_j = 1 + log(e^f_jj / (a m_j + (1 - a) q_j)) - m'_j / (a m'_j + (1 - a) q_j)
    f_ij          = u_i . v_j, with u = teacher_features U' and v = features V'        log q_j = features_j . b
    m_j, m'_j     mean of e^f_ij over all i of the batch; over all i but j        a = interpolation

The mean over j of I_j bounds the mutual information of the two features (nats), with the batch as the sample. For a = 1
it is InfoNCE: little variance, and never above log B. As a goes to 0 it goes to the tractable bound of Barber and
Agakov without a normaliser (TUBA): no such limit, and more variance.

features  [B, D] of the student                 logits    [B, C] unnormalised scores
targets   [B] class indices                     teacher_logits  [B, C] scores of the teacher, without gradient
teacher_features  [B, E] of the teacher, without gradient
params    {"teacher_map": [S, E], "student_map": [S, D], "baseline": [D]}: U, V and b, learned along
interpolation   in (0, 1]
weight    >= 0; 0 is distillation
alpha, temperature   of distillation
size      S of the space in which features are compared        teacher_size   E; null: D
Returns   {"cross_entropy": [B], "distillation": [B], "information": [B]}
Numerics  all in logarithms; the last ratio is at most 1 / a
Paper     He et al. 2021, arXiv:2109.11105 (MI-alpha); the bound: Poole et al. 2019, arXiv:1905.06922, I_alpha
Differs   the paper's value of alpha, its weight and its critics (transformers over sequences of features) could not be
          verified: critics here are linear, the features are those before the head, interpolation and weight are ours
"""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Interval
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lossbench.losses.distillation.distillation import distillation
from lossbench.ops import stopgrad


def init_params(
    *, num_features: int, generator: Generator, size: int = 32, teacher_size: int | None = None
) -> dict[str, Tensor]:
    def drawn(inputs: int) -> Tensor:
        return torch.randn((size, inputs), generator=generator) / (inputs * size**0.5) ** 0.5

    teacher_map, student_map = drawn(teacher_size or num_features), drawn(num_features)
    return {"teacher_map": teacher_map, "student_map": student_map, "baseline": torch.zeros(num_features)}


def interpolated_information(
    features: Float[Tensor, "B D"],
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    teacher_logits: Float[Tensor, "B C"],
    teacher_features: Float[Tensor, "B E"],
    params: dict[str, Tensor],
    *,
    interpolation: Annotated[float, Interval(gt=0, le=1)] = 0.5,
    weight: Annotated[float, Ge(0)] = 1.0,
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.9,
    temperature: Annotated[float, Gt(0)] = 4.0,
    size: Annotated[int, Ge(1)] = 32,
    teacher_size: Annotated[int, Ge(1)] | None = None,
) -> dict[str, Float[Tensor, "B"]]:
    u, v = stopgrad(teacher_features) @ params["teacher_map"].mT, features @ params["student_map"].mT
    scores = u @ v.mT
    bound = _information(scores, features @ params["baseline"], interpolation)
    return {
        **distillation(logits, targets, teacher_logits, alpha=alpha, temperature=temperature),
        "information": -weight * bound,
    }


def _information(
    scores: Float[Tensor, "B B"], log_baseline: Float[Tensor, "B"], interpolation: float
) -> Float[Tensor, "B"]:
    """I_j of each column; scores [i, j] are those of teacher i and student j."""
    number = scores.shape[-1]
    share = torch.zeros_like(log_baseline) + interpolation
    rest = torch.log1p(-share) + log_baseline  # -inf where the share is 1: adds nothing
    own = torch.eye(number, dtype=torch.bool, device=scores.device)
    mean = scores.logsumexp(-2) - math.log(number)
    # With a single example there are no others: a mean of 0.
    others = scores.masked_fill(own, -torch.inf) if number > 1 else scores
    others = others.logsumexp(-2) - math.log(max(number - 1, 1))
    joint = scores.diagonal(dim1=-2, dim2=-1) - torch.logaddexp(share.log() + mean, rest)
    return 1 + joint - (others - torch.logaddexp(share.log() + others, rest)).exp()
