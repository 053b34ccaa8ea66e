"""Data attribution: what a trained model would say had some of its training examples not been there.

Influence functions with the Gauss-Newton matrix, of the cross-entropy. A model that minimises

    sum_i cross_entropy(z(x_i; theta), y_i) + N damping / 2 |theta|^2

over N examples moves, to first order in the examples that are taken away, by

    delta = (G + N damping I)^-1 sum_{j taken away} grad cross_entropy_j        G = sum_i J_i' (diag p_i - p_i p_i') J_i

with J_i the Jacobian of the logits at x_i and p_i their softmax, and its logits at x by J(x) delta: the sum of what
each of these examples has added, so that this is a linear datamodel. For a linear model G is the Hessian.

Sources   Koh and Liang 2017, arXiv:1703.04730 (influence functions); Martens 2020, arXiv:1412.1193 (Gauss-Newton);
          TRAK, Park et al. 2023, arXiv:2303.14186, is of this form with random projections and several models
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from lossbench.metrics.ranking import precise
from lossbench.ops import one_hot

Weights = dict[str, Tensor]
AT_ONCE = 4096  # examples of one pass


class Removal:
    """The logits that a model is predicted to have without some of its training examples.

    model        trained, in evaluation mode
    x, targets   [N, ...], [N] all its training examples, standardised
    removed      [N] which of them are taken away
    damping      > 0, see above: the weight decay of the training where it was one to the loss (optimizer=sgd)
    tolerance    of the conjugate gradients: residual relative to the right-hand side, and steps at most
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        targets: Tensor,
        removed: Tensor,
        *,
        damping: float,
        tolerance: float = 1e-8,
        steps: int = 1000,
    ):
        self._model = precise_model(model)
        self._weights = {name: parameter.detach() for name, parameter in self._model.named_parameters()}
        x = precise(x) if x.is_floating_point() else x
        parts = list(zip(x.split(AT_ONCE), targets.split(AT_ONCE), removed.split(AT_ONCE), strict=True))
        force = _zeros(self._weights)
        products: list[Callable[[Weights], Weights]] = []
        for inputs, labels, taken in parts:
            run = self._of(inputs)
            logits, pull = vjp(run, self._weights)[:2]
            p = logits.softmax(-1)
            error = (p - one_hot(labels, p.shape[-1], p.dtype)) * taken.unsqueeze(-1)
            force = _add(force, pull(error)[0])
            products.append(_gauss_newton(run, self._weights, p))

        def curvature(direction: Weights) -> Weights:
            found = _scale(direction, damping * len(x))
            for product in products:
                found = _add(found, product(direction))
            return found

        self.delta = conjugate_gradients(curvature, force, tolerance=tolerance, steps=steps)

    def _of(self, inputs: Tensor) -> Callable[[Weights], Tensor]:
        buffers = dict(self._model.named_buffers())
        return lambda weights: functional_call(self._model, {**weights, **buffers}, (inputs,))

    def logits(self, x: Tensor) -> Tensor:
        """[B, C] in the type of the inputs."""
        inputs = precise(x) if x.is_floating_point() else x
        with torch.no_grad():
            now, change = jvp(self._of(inputs), (self._weights,), (self.delta,))[:2]
        return (now + change).to(x.dtype if x.is_floating_point() else torch.float32)


def precise_model(model: nn.Module) -> nn.Module:
    """A copy in float64 where the device has it: the conjugate gradients need its digits."""
    made = copy.deepcopy(model).requires_grad_(False).eval()
    on_mps = any(parameter.device.type == "mps" for parameter in made.parameters())
    return made if on_mps else made.double()


def _gauss_newton(run: Callable[[Weights], Tensor], weights: Weights, p: Tensor) -> Callable[[Weights], Weights]:
    def product(direction: Weights) -> Weights:
        change = jvp(run, (weights,), (direction,))[1]
        weighted = p * (change - (p * change).sum(-1, keepdim=True))
        return vjp(run, weights)[1](weighted)[0]

    return product


def conjugate_gradients(
    product: Callable[[Weights], Weights], right: Weights, *, tolerance: float, steps: int
) -> Weights:
    """The solution of product(solution) = right, for a symmetric, positive definite product."""
    solution, residual = _zeros(right), right
    direction, size = right, _dot(right, right)
    enough = tolerance**2 * float(size)
    for _ in range(steps):
        if float(size) <= enough:
            break
        image = product(direction)
        step = size / _dot(direction, image)
        solution = _add(solution, _scale(direction, step))
        residual = _add(residual, _scale(image, -step))
        new = _dot(residual, residual)
        direction, size = _add(residual, _scale(direction, new / size)), new
    return solution


def _zeros(weights: Weights) -> Weights:
    return {name: torch.zeros_like(value) for name, value in weights.items()}


def _add(first: Weights, second: Weights) -> Weights:
    return {name: value + second[name] for name, value in first.items()}


def _scale(weights: Weights, factor: Tensor | float) -> Weights:
    return {name: value * factor for name, value in weights.items()}


def _dot(first: Weights, second: Weights) -> Tensor:
    return torch.stack([(value * second[name]).sum() for name, value in first.items()]).sum()
