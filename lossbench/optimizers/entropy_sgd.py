"""Entropy-SGD: towards the mean of a noisy walk around the weights, which lies where much of the neighbourhood is low.

    y = mean = theta, then inner_steps times, each on a batch of its own:
        y <- y - inner_lr (g(y) + weight_decay y - scope (theta - y)) + sqrt(inner_lr) noise N(0, 1)
        mean <- (1 - averaging) mean + averaging y
    theta <- theta - lr (theta - mean)
    scope <- scope (1 + scope_growth)

    scope (theta - mean) is the gradient of the local entropy; scope itself is left out of the step, as in the paper.

lr             >= 0; 1 steps onto the mean
weight_decay   >= 0, in the gradient of the loss
inner_steps    >= 1, L; one call of ``step`` is one of them: the method costs as many gradients as any other optimizer
inner_lr       > 0; scope >= 0; scope_growth >= 0; noise >= 0; averaging in (0, 1]
               inner_steps=1 noise=0 averaging=1 is SGD with the rate lr inner_lr
State      step; anchor, theta; mean. The random stream is the optimizer's own, begins with a number that the initial
           weights give (so that every seed has its own), and is in state_dict
Paper      Chaudhari et al. 2017, arXiv:1611.01838, algorithm 1
Differs    between two outer steps the model holds y: evaluate after multiples of inner_steps. The authors' code keeps
           averaging of the old mean instead of the new point, has sqrt(2) times the noise, and adds momentum
"""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import NotNegative, Positive
from lossbench.optimizers.closure import loss_of


class EntropySGD(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 1.0,
        weight_decay: NotNegative = 0.0,
        inner_steps: Annotated[int, Ge(1)] = 20,
        inner_lr: Positive = 0.1,
        scope: NotNegative = 0.03,
        scope_growth: NotNegative = 1e-3,
        noise: NotNegative = 1e-4,
        averaging: Annotated[float, Interval(gt=0, le=1)] = 0.75,
    ):
        inner = {"inner_steps": inner_steps, "inner_lr": inner_lr, "noise": noise, "averaging": averaging}
        scopes = {"scope": scope, "scope_growth": scope_growth}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **inner, **scopes})
        weights = [p.detach() for group in self.param_groups for p in group["params"]]
        self.generator = Generator(weights[0].device).manual_seed(_number_of(weights))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.generator.set_state(state_dict["generator"].cpu())

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._step_of(p, p.grad, group)
        return loss

    def _step_of(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["step"] = torch.tensor(0.0)
        outer, inner = divmod(int(state["step"].item()), group["inner_steps"])
        state["step"] += 1
        if inner == 0:
            state["anchor"], state["mean"] = p.clone(), p.clone()
        anchor, mean, rate = state["anchor"], state["mean"], group["inner_lr"]
        scope = group["scope"] * (1 + group["scope_growth"]) ** outer
        p.sub_(rate * (gradient + group["weight_decay"] * p - scope * (anchor - p)))
        if group["noise"]:
            drawn = torch.randn(p.shape, generator=self.generator, dtype=p.dtype, device=p.device)
            p.add_(drawn, alpha=rate**0.5 * group["noise"])
        mean.lerp_(p, group["averaging"])
        if inner == group["inner_steps"] - 1:
            p.copy_(anchor.lerp(mean, group["lr"]))


def _number_of(weights: list[Tensor]) -> int:
    """A number that differs wherever the weights do."""
    sums = torch.stack([w.double().sum() for w in weights]).cpu().numpy().tobytes()
    return int.from_bytes(hashlib.sha256(sums).digest()[:7], "little")
