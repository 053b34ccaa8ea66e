"""MoMo: momentum with the step size that a linear model of the loss and a lower bound of it allow, at most lr.

    f <- beta f + (1 - beta) loss        d <- beta d + (1 - beta) g        c <- beta c + (1 - beta) <g, theta>
    s = 1 + lr weight_decay
    tau = min(lr / rho, max(f - c - rho lower_bound + <d, theta> / s, 0) / (|d|^2 / s))
    theta <- (theta - tau d) / s

    f, d, c start at the first batch's values and rho = 1; with bias_correction they start at 0 and rho = 1 - beta^t

    estimate_lower_bound    with h = f - c + <d, theta>, b the bound and v = f - c + <d, theta> / s:
                            before tau, where v < rho b:  b = max(v / (2 rho), lower_bound)
                            after it:                     b = max((h - tau |d|^2 / 2) / rho, lower_bound)

lr                >= 0, the largest step size; one for all parameters
weight_decay      >= 0, of the proximal kind
beta              in [0, 1); 0 is the stochastic Polyak step
lower_bound       of the loss; far below it the method is momentum with the rate lr
bias_correction, estimate_lower_bound    true or false
loss              of the batch, which ``step`` takes
Numerics   where d is 0 nothing moves: tau would be 0 / 0
State      grad_avg, d; of the first parameter: step, loss_avg, dot_avg, bound
Paper      Schaipp et al. 2023, arXiv:2305.07583
Differs    where groups have a decay of their own, the sums that s divides are taken group by group: the step is then
           that of the same proximal problem
"""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, Finite, NotNegative

Tensors = list[Tensor] | tuple[Tensor, ...]


class Momo(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 1.0,
        weight_decay: NotNegative = 0.0,
        beta: BelowOne = 0.9,
        lower_bound: Finite = 0.0,
        bias_correction: bool = False,
        estimate_lower_bound: bool = False,
    ):
        hyperparameters = {"beta": beta, "lower_bound": lower_bound}
        switches = {"bias_correction": bias_correction, "estimate_lower_bound": estimate_lower_bound}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **hyperparameters, **switches})

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:  # type: ignore[override]
        """loss    [] of the batch that the gradients are of"""
        parts = with_gradients(self.param_groups)
        if not parts:
            return
        options = self.param_groups[0]
        beta, corrected = options["beta"], options["bias_correction"]
        dots: list[Tensor] = []
        directions: list[tuple[Tensors, Tensors]] = []
        for _, params, gradients in parts:
            for p, g in zip(params, gradients, strict=True):
                if "grad_avg" not in self.state[p]:
                    self.state[p]["grad_avg"] = torch.zeros_like(p) if corrected else g.clone()
            averages = [self.state[p]["grad_avg"] for p in params]
            torch._foreach_lerp_(averages, gradients, 1 - beta)
            dots.append(inner(gradients, params))
            directions.append((averages, averages))
        shared = self.state[options["params"][0]]
        model = averaged_model(shared, loss, torch.stack(dots).sum(), beta, corrected)
        rho = 1 - beta ** model["step"].item() if corrected else 1.0
        take_step(parts, directions, model, rho, options)


def with_gradients(groups: list[dict[str, Any]]) -> list[tuple[dict[str, Any], list[Tensor], list[Tensor]]]:
    """(group, its parameters that have a gradient, these gradients), without groups that have none."""
    parts = [(group, [p for p in group["params"] if p.grad is not None]) for group in groups]
    return [(group, params, [p.grad for p in params]) for group, params in parts if params]


def inner(first: Tensors, second: Tensors) -> Tensor:
    """The inner product of two lists of tensors."""
    return torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()


def averaged_model(
    state: dict[str, Any], loss: Tensor, dot: Tensor, beta: float, starts_at_zero: bool
) -> dict[str, Any]:
    """The numbers of the linear model: their averages after this batch; kept in the state of one parameter."""
    if "step" not in state:
        state["step"] = torch.tensor(0.0)
        first = (torch.zeros_like(dot), torch.zeros_like(dot)) if starts_at_zero else (loss.to(dot), dot)
        state["loss_avg"], state["dot_avg"] = first
    state["step"] += 1
    state["loss_avg"] = beta * state["loss_avg"] + (1 - beta) * loss.to(dot)
    state["dot_avg"] = beta * state["dot_avg"] + (1 - beta) * dot
    return state


def take_step(
    parts: list[tuple[dict[str, Any], list[Tensor], list[Tensor]]],
    directions: list[tuple[Tensors, Tensors]],
    model: dict[str, Any],
    rho: float,
    options: dict[str, Any],
) -> None:
    """theta <- (theta - tau D^-1 d) / s.

    directions    (d, D^-1 d) of each part
    rho           the sum of the weights of the averages
    """
    shrinks = [1 + group["lr"] * group["weight_decay"] for group, _, _ in parts]
    along = [inner(d, params) for (_, params, _), (d, _) in zip(parts, directions, strict=True)]
    squares = [inner(d, scaled) for d, scaled in directions]
    offset = model["loss_avg"] - model["dot_avg"]
    value = offset + sum(dot / shrink for dot, shrink in zip(along, shrinks, strict=True))
    square = torch.stack([s / shrink for s, shrink in zip(squares, shrinks, strict=True)]).sum()
    least, bound = options["lower_bound"], options["lower_bound"]
    if options["estimate_lower_bound"]:
        bound = model.get("bound", torch.full_like(value, least))
        bound = torch.where(value < rho * bound, (value / (2 * rho)).clamp(min=least), bound)
    polyak = (value - rho * bound).clamp(min=0) / torch.where(square > 0, square, 1.0)
    tau = torch.where(square > 0, polyak.clamp(max=options["lr"] / rho), 0.0)
    if options["estimate_lower_bound"]:
        reached = offset + torch.stack(along).sum() - tau * torch.stack(squares).sum() / 2
        model["bound"] = (reached / rho).clamp(min=least)
    for (_, params, _), (_, scaled), shrink in zip(parts, directions, shrinks, strict=True):
        torch._foreach_sub_(params, torch._foreach_mul(scaled, tau))
        if shrink != 1:
            torch._foreach_div_(params, shrink)
