"""Hint distillation: distillation, and the student's features drawn to the teacher's through a learned linear map.

    cross_entropy, distillation   those of loss=distillation
    hint      weight mean_d (features_i map' - teacher_features_i)_d^2

features  [*, D] of the student                 logits    [*, C] unnormalised scores
targets   [*] class indices                     teacher_logits  [*, C] scores of the teacher, without gradient
teacher_features  [*, E] of the teacher, without gradient
params    {"map": [E, D]}, learned along
weight    >= 0; 0 is distillation
alpha, temperature   of distillation
teacher_size   E; null: D
Returns   {"cross_entropy": [*], "distillation": [*], "hint": [*]}
Numerics  none needed
Paper     Romero et al. 2014, FitNets, arXiv:1412.6550, eq. 3
Differs   the paper trains up to the hint layer first, and then with distillation; here both at once, as later work
          does. The features are those before the head; the square is of the mean over them, not of the half sum
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Interval
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lossbench.losses.distillation.distillation import distillation
from lossbench.ops import stopgrad


def init_params(*, num_features: int, generator: Generator, teacher_size: int | None = None) -> dict[str, Tensor]:
    shape = (teacher_size or num_features, num_features)
    return {"map": torch.randn(shape, generator=generator) / num_features**0.5}


def hint_distillation(
    features: Float[Tensor, "*b D"],
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    teacher_logits: Float[Tensor, "*b C"],
    teacher_features: Float[Tensor, "*b E"],
    params: dict[str, Tensor],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.9,
    temperature: Annotated[float, Gt(0)] = 4.0,
    teacher_size: Annotated[int, Ge(1)] | None = None,
) -> dict[str, Float[Tensor, "*b"]]:
    hint = (features @ params["map"].mT - stopgrad(teacher_features)).square().mean(-1)
    return {
        **distillation(logits, targets, teacher_logits, alpha=alpha, temperature=temperature),
        "hint": weight * hint,
    }
