"""Separate momentum (DOT): the task's gradient and the teacher's each have a momentum of their own.

    v_task    <- (momentum - difference) v_task + g_1
    v_teacher <- (momentum + difference) v_teacher + g_2 + ... + g_m
    direction = v_task + v_teacher

The first term of the loss is the task's, such as cross_entropy of loss=distillation. The optimizer makes the step, and
must have no momentum: optimizer=sgd optimizer.momentum=0 optimizer.nesterov=false.

jacobian    [m, n] one gradient a row
state       {"task": [n], "teacher": [n]}, 0 at first
momentum    in [0, 1)
difference  in [0, 1 - momentum): 0 is SGD with momentum on the sum
Returns     ([n] the direction, new state)
Numerics    none needed
Paper       Zhao et al. 2023, arXiv:2307.08436; momentum 0.9, difference 0.075 for CIFAR-100 and 0.09 for ImageNet
Differs     in the authors' code weight decay is part of the task's gradient, here the optimizer's own; there, a weight
            that only one of the terms reaches has the plain momentum, which is not told apart here
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor


def init_state(*, num_examples: int, num_parameters: int, device: torch.device) -> dict[str, Tensor]:
    return {name: torch.zeros(num_parameters, device=device) for name in ("task", "teacher")}


def separate_momentum(
    jacobian: Float[Tensor, "m n"],
    state: dict[str, Tensor],
    *,
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
    difference: Annotated[float, Interval(ge=0, lt=1)] = 0.075,
) -> tuple[Float[Tensor, "n"], dict[str, Tensor]]:
    new = {
        "task": (momentum - difference) * state["task"] + jacobian[0],
        "teacher": (momentum + difference) * state["teacher"] + jacobian[1:].sum(0),
    }
    return new["task"] + new["teacher"], new
