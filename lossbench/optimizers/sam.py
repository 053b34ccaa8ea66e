"""SAM: a step of another optimizer with the gradient from the worst point nearby. Two gradients per step.

    e = rho g / |g|              g the gradient at theta, |g| the Euclidean norm over all parameters of all groups
    g' = gradient at theta + e   on the same batch; nothing is differentiated through e
    base optimizer's step from theta with g'

    adaptive    e = rho theta^2 g / | theta g |, elementwise products: the ball follows the scale of the weights

base       the optimizer that makes the step: takes parameters, lr and weight_decay; its step needs no closure
lr         >= 0, the base's learning rate
weight_decay   >= 0, the base's; it is in the step, not in g
rho        >= 0, the radius; 0 is the base optimizer
adaptive   true or false
Numerics   |g| + 1e-12, so that a gradient of 0 moves nothing; theta is restored from a copy, bit by bit
State      the base's
Paper      Foret et al. 2021, arXiv:2010.01412, eq. 2 and algorithm 1; adaptive: Kwon et al. 2021, arXiv:2102.11600
Differs    the authors' code decays weights in the loss, so that its g includes the decay, and clips g'. adaptive has no
           eta. Batch norm's running statistics and the loss's memory see both passes
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import NotNegative, check_base
from lossbench.optimizers.closure import loss_of


class SAM(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        base: Callable[..., Optimizer] = SGD,
        lr: NotNegative = 0.1,
        weight_decay: NotNegative = 0.0,
        rho: NotNegative = 0.05,
        adaptive: bool = False,
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "rho": rho, "adaptive": adaptive})
        self.base = base(self.param_groups, lr=lr, weight_decay=weight_decay)
        check_base(self.base, "SAM")
        self._share()

    def _share(self) -> None:
        """Groups and state are the base's, so that a schedule or a checkpoint finds one of each."""
        self.param_groups, self.state = self.base.param_groups, self.base.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base.load_state_dict(state_dict)
        self._share()

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """closure clears the gradients, computes the loss of the batch, calls backward, and returns the loss; it is
        called twice. Returns the loss at theta."""
        loss = loss_of(closure)
        moved, originals = self._climb()
        try:
            loss_of(closure)
        finally:  # a closure that raises must not leave the weights beside theta
            if moved:
                torch._foreach_copy_(moved, originals)
        self.base.step()
        return loss

    def _climb(self) -> tuple[list[Tensor], list[Tensor]]:
        """theta <- theta + e; returns the parameters that moved and copies of what they were."""
        parts = []
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                gradients: list[Tensor] = [p.grad for p in params]
                scaled = torch._foreach_mul(gradients, params) if group["adaptive"] else gradients
                parts.append((group, params, gradients, scaled))
        if not parts:
            return [], []
        norms = [norm for _, _, _, scaled in parts for norm in torch._foreach_norm(scaled)]
        norm = torch.linalg.vector_norm(torch.stack(norms)) + 1e-12
        moved = [p for _, params, _, _ in parts for p in params]
        originals = [p.clone() for p in moved]
        for group, params, gradients, scaled in parts:
            direction = torch._foreach_mul(scaled, params) if group["adaptive"] else gradients
            torch._foreach_add_(params, torch._foreach_mul(direction, group["rho"] / norm))
        return moved, originals
