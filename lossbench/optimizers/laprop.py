"""LaProp: each gradient is first divided by its own scale, and what is then averaged is that ratio; Adam does both at
once.

    n <- nu n + (1 - nu) g^2                            n starts at 0
    m <- mu m + (1 - mu) g / (sqrt(n / (1 - nu^t)) + eps)       m starts at 0
    theta <- theta - lr (m / (1 - mu^t) + weight_decay theta)

lr             >= 0
betas          (mu, nu), each in [0, 1), in any combination. mu = 0 is Adam without momentum (RMSProp), nu = 0 averages
               signs
eps            > 0
weight_decay   >= 0, decoupled
State      step, t; exp_avg, m; exp_avg_sq, n
Paper      Ziyin, Wang and Ueda 2020, arXiv:2002.04839
Differs    the authors' code averages the ratios times lr, which is the same where lr is constant, and subtracts
           weight_decay theta without lr
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative, Positive
from lossbench.optimizers.closure import loss_of


class LaProp(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 4e-4,
        betas: tuple[BelowOne, BelowOne] = (0.9, 0.999),
        eps: Positive = 1e-15,
        weight_decay: NotNegative = 0.0,
    ):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

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
                    self.state[p]["step"] = torch.tensor(0.0)
                    self.state[p]["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                    self.state[p]["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            states = [self.state[p] for p in params]
            steps = [state["step"] for state in states]
            averages, squares = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq"))
            mu, nu = group["betas"]
            torch._foreach_add_(steps, 1.0)
            torch._foreach_mul_(squares, nu)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - nu)
            times = [step.item() for step in steps]  # on the processor, as torch's optimizers have them
            scales = torch._foreach_div(squares, [1 - nu**t for t in times])
            torch._foreach_sqrt_(scales)
            torch._foreach_add_(scales, group["eps"])
            torch._foreach_lerp_(averages, torch._foreach_div(gradients, scales), 1 - mu)
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, torch._foreach_mul(averages, [-group["lr"] / (1 - mu**t) for t in times]))
        return loss
