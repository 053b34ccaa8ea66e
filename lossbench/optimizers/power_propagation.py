"""Power propagation as a preconditioner: gradient descent in which large weights move more, towards sparse solutions.

    w <- w - lr exponent^2 |w|^(2 - 2 / exponent) (g + weight_decay w)        of matrices and kernels w
    w <- w - lr (g + weight_decay w)                                          of all with one axis: biases, norms

    To first order in lr it is gradient descent on theta with w = theta |theta|^(exponent - 1): dw / dtheta is
    exponent |theta|^(exponent - 1), and enters the step of w twice.

lr             >= 0
exponent       >= 1; 1 is gradient descent. A weight of exactly 0 stays there where it is above 1
weight_decay   >= 0, in the gradient
State      none
Paper      Pascanu et al. 2025, arXiv:2507.12224, on the reparametrisation of Schwarz et al. 2021, arXiv:2110.00296
Differs    nothing; the reparametrisation itself has terms of higher order in lr
"""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import NotNegative
from lossbench.optimizers.closure import loss_of


class PowerPropagation(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 0.1,
        exponent: Annotated[float, Ge(1)] = 2.0,
        weight_decay: NotNegative = 0.0,
    ):
        super().__init__(params, {"lr": lr, "exponent": exponent, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        for group in self.param_groups:
            exponent = group["exponent"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                slope = p.grad + group["weight_decay"] * p
                if p.ndim > 1:
                    slope = slope * exponent**2 * p.abs() ** (2 - 2 / exponent)
                p.sub_(slope, alpha=group["lr"])
        return loss
