"""LAMB: Adam whose step in every layer is as long as the layer's weights, times lr.

    m, v      Adam's averages of g and g^2, which start at 0 and are corrected
    r = m / (sqrt(v) + eps) + weight_decay w
    w <- w - lr |w| / |r| r                    of each tensor w

lr             >= 0
betas          each in [0, 1)
eps            > 0
weight_decay   >= 0, decoupled, within r
Numerics   where w or r is all 0 the factor |w| / |r| is 1
State      step; exp_avg, m; exp_avg_sq, v
Paper      You et al. 2020, arXiv:1904.00962, algorithm 2; as in Nado et al. 2021, arXiv:2102.06356
Differs    no bounds on |w|: phi is the identity
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative, Positive
from lossbench.optimizers.closure import loss_of


class LAMB(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 1e-2,
        betas: tuple[BelowOne, BelowOne] = (0.9, 0.999),
        eps: Positive = 1e-6,
        weight_decay: NotNegative = 0.01,
    ):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                state["step"] += 1
                time = state["step"].item()
                mean = state["exp_avg"].lerp_(p.grad, 1 - beta1)
                square = state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                update = mean / (1 - beta1**time) / ((square / (1 - beta2**time)).sqrt() + group["eps"])
                update += group["weight_decay"] * p
                size, length = torch.linalg.vector_norm(p), torch.linalg.vector_norm(update)
                usual = (size > 0) & (length > 0)
                p.sub_(update * (group["lr"] * torch.where(usual, size / torch.where(usual, length, 1.0), 1.0)))
        return loss
