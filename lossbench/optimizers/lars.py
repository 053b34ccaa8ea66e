"""LARS: momentum whose step in every layer is a fixed part of the size of the layer's weights.

    v <- momentum v + lr trust |w| / (|g| + weight_decay |w|) (g + weight_decay w)        of each matrix or kernel w
    v <- momentum v + lr (g + weight_decay w)                   of all with one axis: biases, weights of norms
    w <- w - v                                                  v starts at 0

lr             >= 0
momentum       in [0, 1)
weight_decay   >= 0, in the gradient
trust          >= 0, eta in the paper; the factor lr trust is what counts for matrices
Numerics   weights that are all 0 have the factor 1: with |w| = 0 they would never move
State      momentum_buffer, v
Paper      You, Gitman and Ginsburg 2017, arXiv:1708.03888; as in Nado et al. 2021, arXiv:2102.06356
Differs    biases and norms without the factor, as all that use it do. lr is within v, as in the paper; common code has
           it outside, which is the same where lr is constant
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative
from lossbench.optimizers.closure import loss_of


class LARS(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 1.0,
        momentum: BelowOne = 0.9,
        weight_decay: NotNegative = 1e-4,
        trust: NotNegative = 1e-3,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        for group in self.param_groups:
            decay = group["weight_decay"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
                update = p.grad + decay * p
                if p.ndim > 1:
                    size = torch.linalg.vector_norm(p)
                    slope = torch.linalg.vector_norm(p.grad) + decay * size
                    usual = (size > 0) & (slope > 0)
                    update *= torch.where(usual, group["trust"] * size / torch.where(usual, slope, 1.0), 1.0)
                velocity = self.state[p]["momentum_buffer"].mul_(group["momentum"]).add_(update, alpha=group["lr"])
                p.sub_(velocity)
        return loss
