"""MoMo-Adam: Adam with the step size that a linear model of the loss and a lower bound of it allow, at most lr.

    The equations of momo with Adam's scale of each weight in the place of the Euclidean norm:

    f <- beta1 f + (1 - beta1) loss        d <- beta1 d + (1 - beta1) g        c <- beta1 c + (1 - beta1) <g, theta>
    v <- beta2 v + (1 - beta2) g^2         D = sqrt(v / (1 - beta2^t)) + eps   rho = 1 - beta1^t   all start at 0
    s = 1 + lr weight_decay
    tau = min(lr / rho, max(f - c - rho lower_bound + <d, theta> / s, 0) / (<d, d / D> / s))
    theta <- (theta - tau d / D) / s

lr                >= 0, the largest step size; one for all parameters
betas             each in [0, 1)
eps               > 0
weight_decay      >= 0, of the proximal kind
lower_bound       of the loss; far below it the method is Adam with the rate lr
estimate_lower_bound    true or false, see momo
loss              of the batch, which ``step`` takes
Numerics   where d is 0 nothing moves: tau would be 0 / 0
State      grad_avg, d; exp_avg_sq, v; of the first parameter: step, loss_avg, dot_avg, bound
Paper      Schaipp et al. 2023, arXiv:2305.07583
Differs    groups with a decay of their own: see momo
"""

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, Finite, NotNegative, Positive
from lossbench.optimizers.momo import Tensors, averaged_model, inner, take_step, with_gradients


class MomoAdam(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        lr: NotNegative = 1e-2,
        betas: tuple[BelowOne, BelowOne] = (0.9, 0.999),
        eps: Positive = 1e-8,
        weight_decay: NotNegative = 0.0,
        lower_bound: Finite = 0.0,
        estimate_lower_bound: bool = False,
    ):
        bound = {"lower_bound": lower_bound, "estimate_lower_bound": estimate_lower_bound}
        scales = {"betas": tuple(betas), "eps": eps}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **scales, **bound})

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:  # type: ignore[override]
        """loss    [] of the batch that the gradients are of"""
        parts = with_gradients(self.param_groups)
        if not parts:
            return
        options = self.param_groups[0]
        beta1, beta2 = options["betas"]
        dots = [inner(gradients, params) for _, params, gradients in parts]
        model = averaged_model(self.state[options["params"][0]], loss, torch.stack(dots).sum(), beta1, True)
        time = model["step"].item()
        directions: list[tuple[Tensors, Tensors]] = []
        for _, params, gradients in parts:
            for p in params:
                if "grad_avg" not in self.state[p]:
                    self.state[p]["grad_avg"], self.state[p]["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
            averages = [self.state[p]["grad_avg"] for p in params]
            squares = [self.state[p]["exp_avg_sq"] for p in params]
            torch._foreach_lerp_(averages, gradients, 1 - beta1)
            torch._foreach_mul_(squares, beta2)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
            scales = torch._foreach_div(squares, 1 - beta2**time)
            torch._foreach_sqrt_(scales)
            torch._foreach_add_(scales, options["eps"])
            directions.append((averages, torch._foreach_div(averages, scales)))
        take_step(parts, directions, model, 1 - beta1**time, options)
