"""Dual-head distillation (DHKD): the teacher's scores teach a second head, so that they do not spoil the first one.

    cross_entropy   -log softmax(logits_i)[y_i]                                   of the model's own head
    distillation    that of binary_distillation, of the scores features_i weight' + bias of the second head

Both train the body; only the model's own head is used afterwards.

features  [*, D] input of both heads            logits    [*, C] unnormalised scores of the model's own head
targets   [*] class indices y                   teacher_logits  [*, C] scores of the teacher, without gradient
params    {"weight": [C, D], "bias": [C]} of the second head, learned along
alpha     >= 0; 0 is cross_entropy
temperature  > 0
Returns   {"cross_entropy": [*], "distillation": [*]}
Numerics  as in binary_distillation
Paper     Yang et al. 2024, arXiv:2411.08937; temperature 2, alpha 1 for CIFAR-100 and 0.1 for ImageNet
Differs   the second head is linear, as the authors have it for ImageNet; for CIFAR-100 they have one with a hidden
          layer, and align the gradients of the two terms, which is an aggregation of gradients and not a loss. The
          second head is not decayed
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lossbench.losses.distillation.binary_distillation import binary_distillation
from lossbench.ops import true_class_log_p


def init_params(*, num_outputs: int, num_features: int, generator: Generator) -> dict[str, Tensor]:
    """As torch.nn.Linear draws them."""
    bound = num_features**-0.5
    weight = (2 * torch.rand((num_outputs, num_features), generator=generator) - 1) * bound
    return {"weight": weight, "bias": (2 * torch.rand(num_outputs, generator=generator) - 1) * bound}


def dual_head_distillation(
    features: Float[Tensor, "*b D"],
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    teacher_logits: Float[Tensor, "*b C"],
    params: dict[str, Tensor],
    *,
    alpha: Annotated[float, Ge(0)] = 1.0,
    temperature: Annotated[float, Gt(0)] = 2.0,
) -> dict[str, Float[Tensor, "*b"]]:
    second = features @ params["weight"].mT + params["bias"]
    terms = binary_distillation(second, targets, teacher_logits, alpha=alpha, temperature=temperature)
    return {"cross_entropy": -true_class_log_p(logits, targets), "distillation": terms["distillation"]}
