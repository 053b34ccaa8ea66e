"""Induced metric: momentum, shortened where the surface of the loss is steep, by the metric that it has in one more
dimension.

    metric of the surface: I + xi g g^T, whose inverse times g is g / (1 + xi |g|^2)

    variant sgd    q <- beta q + (1 - beta) xi |g|^2                        a = m / (1 + q)
    variant log    q as for sgd; the surface of log(loss)                   a = m loss / (loss^2 + q)
    variant rms    v <- beta_rms v + (1 - beta_rms) g^2
                   q <- beta q + (1 - beta) xi sum g^2 / (sqrt(v) + eps)    a = m / (sqrt(v) + eps) / (1 + q)

    m <- momentum m + (1 - momentum) g
    theta <- theta - lr (a + weight_decay theta)        |g| over all parameters; m, q, v start at 0 and are corrected

lr             >= 0
momentum, beta, beta_rms    each in [0, 1)
xi             >= 0; 0 leaves momentum (sgd), Adam's step (rms)
eps            > 0, of rms
weight_decay   >= 0, decoupled
variant        sgd, log or rms
loss           of the batch, which ``step`` takes; of log, where it must be positive
Numerics   a loss of 0 with xi = 0 moves nothing under log: it would be 0 / 0
State      momentum_buffer, m; square_avg, v; of the first parameter: step, metric, q
Paper      Harvey 2025, arXiv:2509.03594
Differs    the authors' code takes |g| over the first parameter group, and has no other
"""

from typing import Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative, Positive
from lossbench.optimizers.momo import inner, with_gradients


class InducedMetric(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 0.1,
        momentum: BelowOne = 0.9,
        xi: NotNegative = 0.1,
        beta: BelowOne = 0.8,
        beta_rms: BelowOne = 0.99,
        eps: Positive = 1e-8,
        weight_decay: NotNegative = 0.0,
        variant: Literal["sgd", "log", "rms"] = "sgd",
    ):
        averages = {"momentum": momentum, "beta": beta, "beta_rms": beta_rms, "eps": eps}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "xi": xi, **averages, "variant": variant})

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:  # type: ignore[override]
        """loss    [] of the batch that the gradients are of"""
        parts = with_gradients(self.param_groups)
        if not parts:
            return
        options = self.param_groups[0]
        momentum, beta, beta_rms = options["momentum"], options["beta"], options["beta_rms"]
        shared = self.state[options["params"][0]]
        if "step" not in shared:
            shared["step"], shared["metric"] = torch.tensor(0.0), torch.zeros_like(loss)
        shared["step"] += 1
        time = shared["step"].item()
        directions, steepness = [], []
        for _, params, gradients in parts:
            averages = self._averages("momentum_buffer", params)
            torch._foreach_lerp_(averages, gradients, 1 - momentum)
            corrected = torch._foreach_div(averages, 1 - momentum**time)
            if options["variant"] == "rms":
                squares = self._averages("square_avg", params)
                torch._foreach_mul_(squares, beta_rms)
                torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta_rms)
                scales = torch._foreach_div(squares, 1 - beta_rms**time)
                torch._foreach_sqrt_(scales)
                torch._foreach_add_(scales, options["eps"])
                corrected = torch._foreach_div(corrected, scales)
                steepness.append(inner(gradients, torch._foreach_div(gradients, scales)))
            else:
                steepness.append(inner(gradients, gradients))
            directions.append(corrected)
        q = beta * shared["metric"] + (1 - beta) * options["xi"] * torch.stack(steepness).sum()
        shared["metric"] = q
        q = q / (1 - beta**time)
        if options["variant"] == "log":
            bottom = loss.square() + q
            length = torch.where(bottom > 0, loss / torch.where(bottom > 0, bottom, 1.0), 0.0)
        else:
            length = 1 / (1 + q)
        for (group, params, _), direction in zip(parts, directions, strict=True):
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_sub_(params, torch._foreach_mul(direction, group["lr"] * length))

    def _averages(self, name: str, params: list[Tensor]) -> list[Tensor]:
        """The averages of this name, one a parameter, which begin at 0."""
        for p in params:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [self.state[p][name] for p in params]
