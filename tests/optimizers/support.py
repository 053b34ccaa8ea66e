"""What the tests of single optimizers share: a small problem, and runs on it."""

from collections.abc import Callable
from pathlib import Path

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

        losses.append(optimizer.step(closure).item())
    return losses


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
