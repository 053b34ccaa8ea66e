"""Lion: the sign of an average of momentum and gradient, so that every weight moves by the learning rate.

    u = sign(beta1 m + (1 - beta1) g)
    theta <- theta - lr (u + weight_decay theta)
    m <- beta2 m + (1 - beta2) g                    m starts at 0

lr             >= 0; 3 to 10 times below AdamW's, because every step has the full length
betas          each in [0, 1)
weight_decay   >= 0, decoupled; 3 to 10 times above AdamW's, so that lr * weight_decay stays
State      exp_avg, m
Paper      Chen et al. 2023, arXiv:2302.06675, program 1 and algorithm 2
Differs    nothing
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative
from lossbench.optimizers.closure import loss_of


class Lion(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 3e-4,
        betas: tuple[BelowOne, BelowOne] = (0.9, 0.99),
        weight_decay: NotNegative = 0.03,
    ):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            gradients: list[Tensor] = [p.grad for p in params]
            for p in params:
                if not self.state[p]:
                    self.state[p]["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            momenta = [self.state[p]["exp_avg"] for p in params]
            beta1, beta2 = group["betas"]
            updates = torch._foreach_lerp(momenta, gradients, 1 - beta1)
            torch._foreach_sign_(updates)
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, updates, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, gradients, 1 - beta2)
        return loss
