"""Adversarial inputs: the point of a ball around an input where an objective is large, found by projected gradients.

A perturbation is given in the units of the ball: it is added as unit * perturbation, so that a radius is the same
number for all channels of a standardised image. Everything is a pure function of tensors, works under vmap, and builds
no graph: the found inputs carry no gradient, and none of second order is prepared on the way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import margin, normalize

Norm = Literal["l_inf", "l_2"]
Inputs = Float[Tensor, "B ..."]


@dataclass(frozen=True)
class Ball:
    """Where a perturbation p of the inputs x may be: |p| <= radius and low <= x + unit p <= high.

    norm        l_inf, or l_2 over all axes of an input
    unit        of a perturbation, in the units of x; broadcasts against one input
    low, high   bounds of an input, in the units of x; None where there are none. An input that is outside itself, after
                an augmentation for instance, moves no further out
    """

    norm: Norm
    radius: float
    unit: Tensor | float = 1.0
    low: Tensor | None = None
    high: Tensor | None = None

    def project(self, x: Inputs, perturbation: Inputs) -> Inputs:
        """The nearest point of the ball, and from there of the range: that only shortens, so it is in the ball too."""
        if self.norm == "l_inf":
            perturbation = perturbation.clamp(-self.radius, self.radius)
        else:
            length = perturbation.flatten(1).norm(dim=1).reshape(-1, *[1] * (perturbation.ndim - 1))
            perturbation = perturbation * (self.radius / length.clamp(min=self.radius))
        if self.low is not None:
            perturbation = torch.maximum(perturbation, (torch.minimum(self.low, x) - x) / self.unit)
        if self.high is not None:
            perturbation = torch.minimum(perturbation, (torch.maximum(self.high, x) - x) / self.unit)
        return perturbation

    def steepest(self, gradient: Inputs) -> Inputs:
        """The perturbation of norm 1 along which a function with this gradient grows most; 0 where that is 0."""
        if self.norm == "l_inf":
            return gradient.sign()
        flat = gradient.flatten(1)
        largest = flat.abs().amax(1, keepdim=True)  # first: the square of a small gradient underflows
        return normalize(flat / torch.where(largest == 0, 1, largest), dim=1).view_as(gradient)

    def moved(self, x: Inputs, perturbation: Inputs) -> Inputs:
        return x + self.unit * perturbation

    def start(self, x: Inputs, generator: torch.Generator) -> Inputs:
        """A perturbation uniform in the ball, before the range is looked at."""
        drawn = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        if self.norm == "l_inf":
            return self.radius * (2 * drawn - 1)
        direction = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        flat = drawn.flatten(1)
        length = self.radius * flat[:, :1] ** (1 / flat.shape[1])  # the volume grows with that power of the radius
        return (length * normalize(direction.flatten(1), dim=1)).view_as(x)


def projected_gradient(
    objective: Callable[[Inputs], Tensor], x: Inputs, start: Inputs, ball: Ball, *, steps: int, step_size: float
) -> Inputs:
    """Inputs in the ball around x, from ``start`` by steps uphill that are projected back; the last of them.

        p <- project(p + step_size steepest(gradient of objective(x + unit p)))

    objective   inputs [B, ...] -> values, of which the sum is made large; each example's depend on its input alone, or
                nearly so (batch norm)
    start       [B, ...] the first perturbation, in the units of the ball
    steps       1 from start 0 with step_size = radius is the fast gradient sign method (l_inf)
    Source      Madry et al. 2017, arXiv:1706.06083; one step: Goodfellow et al. 2014, arXiv:1412.6572
    """

    def value(perturbation: Inputs) -> tuple[Tensor, Tensor]:
        found = objective(ball.moved(x, perturbation)).sum()
        return found, found

    with torch.no_grad():
        perturbation = ball.project(x, start)
        for _ in range(steps):
            slope, _ = gradient(value, perturbation)
            perturbation = ball.project(x, perturbation + step_size * ball.steepest(slope))
        return ball.moved(x, perturbation)


def gradient(function: Callable[[Tensor], tuple[Tensor, Tensor]], at: Tensor) -> tuple[Tensor, Tensor]:
    """(the gradient of the function's first output, its second output); both without a graph, under no_grad too."""
    if torch._C._functorch.peek_interpreter_stack() is not None:  # within vmap or grad, where autograd sees nothing
        # no_grad is about the surroundings: inside of its own level torch.func.grad differentiates all the same.
        with torch.no_grad():
            return torch.func.grad(function, has_aux=True)(at)
    with torch.enable_grad():  # the same numbers, in half the time for small models
        at = at.detach().requires_grad_()
        value, other = function(at)
        (found,) = torch.autograd.grad(value, at)
    return found, other.detach()


def worst_logits(
    forward: Callable[[Inputs], Float[Tensor, "B C"]],
    x: Inputs,
    targets: Int[Tensor, "B"],
    objectives: Sequence[Callable[[Float[Tensor, "B C"], Int[Tensor, "B"]], Tensor]],
    ball: Ball,
    *,
    steps: int,
    step_size: float,
) -> Float[Tensor, "B C"]:
    """The logits with the lowest margin of the true class, of all that attacks with these objectives come across.

    Every attack starts at x itself, which counts too, and goes uphill on its objective(logits, targets); no random
    number is drawn. An example withstands all of them where its worst logits are still right.
    """
    with torch.no_grad():
        zero = torch.zeros_like(x)
        worst = forward(x)
        for objective in objectives:

            def value(p: Inputs, objective: Callable = objective) -> tuple[Tensor, Tensor]:
                logits = forward(ball.moved(x, p))
                return objective(logits, targets).sum(), logits

            perturbation = zero
            for step in range(steps):
                slope, logits = gradient(value, perturbation)
                worst = _worse(worst, logits, targets) if step else worst
                perturbation = ball.project(x, perturbation + step_size * ball.steepest(slope))
            worst = _worse(worst, forward(ball.moved(x, perturbation)), targets)
        return worst


def _worse(one: Float[Tensor, "B C"], other: Float[Tensor, "B C"], targets: Int[Tensor, "B"]) -> Float[Tensor, "B C"]:
    return torch.where((margin(other, targets) < margin(one, targets)).unsqueeze(-1), other, one)
