"""What the tests of single optimizers share: a small problem, and runs on it."""

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def network(seed: int = 0) -> nn.Module:
    """Smooth and not convex, float64."""
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5
    return model


def loss(model: nn.Module, step: int) -> Tensor:
    """The mean squared error on the batch of this step."""
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    return (model(x) - y).square().mean()


def train(model: nn.Module, optimizer: Optimizer, steps: range) -> list[float]:
    """Trains in place; the losses that the optimizer's step returned."""
    losses = []
    for step in steps:

        def closure(step: int = step) -> Tensor:
            optimizer.zero_grad()
            value = loss(model, step)
            value.backward()
            return value

        losses.append(advance(optimizer, closure))
    return losses


def advance(optimizer: Optimizer, closure: Callable[[], Tensor], step: Callable | None = None) -> float:
    """One step, by ``step`` or the optimizer's own, which gets the closure or, where it takes it, the loss; returns the
    loss."""
    step = step or optimizer.step
    if "loss" not in inspect.signature(type(optimizer).step).parameters:
        return step(closure).item()
    value = closure().detach()
    step(value)
    return value.item()


def arrays(model: nn.Module) -> list[np.ndarray]:
    """Copies of the parameters, for references written in numpy."""
    return [p.detach().numpy().copy() for p in model.parameters()]


def reference(update: Callable[[list[np.ndarray], list[np.ndarray], float, int], None], steps: int) -> Tensor:
    """The weights after some steps of an independent implementation in numpy.

    update    of (weights, which it changes in place; gradients; loss; number of the step from 1)
    """
    model = network()
    theta = arrays(model)
    for step in range(steps):
        for p, value in zip(model.parameters(), theta, strict=True):
            p.data = torch.from_numpy(value.copy())
        g = [gradient.numpy() for gradient in gradients(model, step)]
        update(theta, g, loss(model, step).item(), step + 1)
    return torch.cat([torch.from_numpy(value).flatten() for value in theta])


def check_against(
    build: Callable[[list], Optimizer], update: Callable, steps: int = 50, tolerance: float = 1e-10
) -> Tensor:
    """The optimizer ends where the reference does, and has moved; returns its weights."""
    model = network()
    train(model, build(list(model.parameters())), range(steps))
    torch.testing.assert_close(weights(model), reference(update, steps), rtol=tolerance, atol=tolerance)
    assert (weights(model) - weights(network())).abs().max() > 1e-2
    return weights(model)


def gradients(model: nn.Module, step: int) -> list[Tensor]:
    return list(torch.autograd.grad(loss(model, step), list(model.parameters())))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def check_resume(build: Callable[[list], Optimizer], path: Path) -> None:
    """Stopped after 20 of 40 steps and continued from a file, a run ends with the same bits."""
    whole = network()
    train(whole, build(list(whole.parameters())), range(40))

    first = network()
    optimizer = build(list(first.parameters()))
    train(first, optimizer, range(20))
    torch.save({"model": first.state_dict(), "optimizer": optimizer.state_dict()}, path)

    second = network(seed=1)  # other weights and a fresh optimizer, so that only the file can make them equal
    resumed = build(list(second.parameters()))
    stored = torch.load(path, weights_only=True)
    second.load_state_dict(stored["model"])
    resumed.load_state_dict(stored["optimizer"])
    train(second, resumed, range(20, 40))
    assert torch.equal(weights(second), weights(whole))
