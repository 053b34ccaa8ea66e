"""Lion-K: Lion with the gradient of a convex function kappa in the place of the sign.

    u = beta1 m + (1 - beta1) g
    theta <- theta - lr (grad kappa(u) + weight_decay theta)
    m <- beta2 m + (1 - beta2) g                    m starts at 0

    It minimises loss(theta) + kappa*(weight_decay theta) / weight_decay, kappa* the convex conjugate:

    kappa            grad kappa(u)                  what weight_decay makes of it
    l1               sign(u), lion                  |theta_i| <= 1 / weight_decay for every i
    l2               u / |u| over all parameters    |theta| <= 1 / weight_decay
    half_squared_l2  u, momentum                    weight_decay |theta|^2 / 2 is added to the loss
    thresholded_l1   sign(u) where |u| > threshold  as l1, and threshold |theta|_1 is added to the loss

lr             >= 0
betas          each in [0, 1)
weight_decay   >= 0, decoupled
kappa          l1, l2, half_squared_l2 or thresholded_l1
threshold      >= 0, of thresholded_l1: sum_i max(|u_i| - threshold, 0)
Numerics   a gradient of 0 moves nothing under l2, where u / |u| would be 0 / 0
State      exp_avg, m
Paper      Chen et al. 2023, arXiv:2310.05898
Differs    nothing
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative
from lossbench.optimizers.closure import loss_of

Kappa = Literal["l1", "l2", "half_squared_l2", "thresholded_l1"]


class LionK(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 3e-4,
        betas: tuple[BelowOne, BelowOne] = (0.9, 0.99),
        weight_decay: NotNegative = 0.03,
        kappa: Kappa = "l1",
        threshold: NotNegative = 0.0,
    ):
        hyperparameters = {"betas": tuple(betas), "kappa": kappa, "threshold": threshold}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **hyperparameters})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        parts = []
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
            parts.append((group, params, torch._foreach_lerp(momenta, gradients, 1 - beta1)))
            torch._foreach_lerp_(momenta, gradients, 1 - beta2)
        length = _length([u for group, _, updates in parts if group["kappa"] == "l2" for u in updates])
        for group, params, updates in parts:
            _take_gradient_of_kappa(updates, group["kappa"], group["threshold"], length)
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, updates, alpha=-group["lr"])
        return loss


def _length(updates: list[Tensor]) -> Tensor | None:
    """The Euclidean norm of all of them as one vector."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(updates))) if updates else None


def _take_gradient_of_kappa(
    updates: list[Tensor] | tuple[Tensor, ...], kappa: Kappa, threshold: float, length: Tensor | None
) -> None:
    """u <- grad kappa(u), in place; ``length`` is |u| over all parameters."""
    if kappa == "l1":
        torch._foreach_sign_(updates)
    elif kappa == "l2":
        assert length is not None
        torch._foreach_div_(updates, torch.where(length > 0, length, 1.0))
    elif kappa == "thresholded_l1":
        for update in updates:
            update.copy_(torch.where(update.abs() > threshold, update.sign(), 0.0))
