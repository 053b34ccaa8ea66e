"""Sums in tiles: exact, differentiable twice, vmappable, and nothing of the size of the matrix of pairs is formed."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lossbench.tiled import log_sum_exp_products, sum_over_pairs


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("tile", [1, 2, 5, 7, 50])
@pytest.mark.parametrize("skip_own", [False, True])
def test_log_sum_exp(tile, skip_own):
    rows, columns = tensors((7, 3), (7 if skip_own else 5, 3))
    products = rows @ columns.T
    if skip_own:
        products = products.masked_fill(torch.eye(7, dtype=torch.bool), -torch.inf)
    expected = products.exp().sum(1).log()
    for each in (tile, None):
        torch.testing.assert_close(log_sum_exp_products(rows, columns, each, skip_own=skip_own), expected)
    assert torch.autograd.gradcheck(lambda a, b: log_sum_exp_products(a, b, tile, skip_own=skip_own), (rows, columns))


def test_large_products():  # exp of them is infinite, and their sum is not
    rows, columns = torch.tensor([[1e4], [-1e4]]), torch.tensor([[1.0], [2.0], [-1.0]])
    torch.testing.assert_close(log_sum_exp_products(rows, columns, 1), torch.tensor([2e4, 1e4]))


def pair_costs(rows: Tensor, weight: Tensor, columns: Tensor) -> Tensor:
    """[C] per column of the rows: a sum over all pairs."""
    differences = rows.unsqueeze(1) - columns.unsqueeze(0)
    return (weight[:, None, None] * differences.square() / (1 + differences.abs())).sum((0, 1))


@pytest.mark.parametrize("tile", [1, 2, 3, 50])
def test_pairs(tile):
    rows, weight, columns = tensors((5, 2), (5,), (4, 2))
    tiled = sum_over_pairs(pair_costs, [rows, weight], [columns], tile)
    torch.testing.assert_close(tiled, pair_costs(rows, weight, columns))
    torch.testing.assert_close(sum_over_pairs(pair_costs, [rows, weight], [columns]), tiled)
    for wanted in ((True, True, True), (False, True, False), (True, False, False)):
        inputs = [t.detach().requires_grad_(want) for t, want in zip((rows, weight, columns), wanted, strict=True)]
        assert torch.autograd.gradcheck(lambda a, w, b: sum_over_pairs(pair_costs, [a, w], [b], tile), inputs)


def test_second_derivatives():
    rows, columns = tensors((5, 3), (4, 3))
    assert torch.autograd.gradgradcheck(lambda a, b: log_sum_exp_products(a, b, 2), (rows, columns))


def test_stacked():  # vmap over both, with gradients
    rows, weight, columns = tensors((3, 5, 2), (3, 5), (3, 4, 2))

    def total(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return sum_over_pairs(pair_costs, [a, w], [b], 2).sum() + (w * log_sum_exp_products(a, b, 2)).sum()

    together = torch.vmap(torch.func.grad(total, argnums=(0, 1, 2)))(rows, weight, columns)
    alone = [torch.func.grad(total, argnums=(0, 1, 2))(*each) for each in zip(rows, weight, columns, strict=True)]
    for i, single in enumerate(alone):
        for many, one in zip(together, single, strict=True):
            torch.testing.assert_close(many[i], one)


class Largest(TorchDispatchMode):
    """The most elements that any tensor has that is made within."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


@pytest.mark.parametrize(
    ("run", "most"),
    [
        (lambda a, tile: log_sum_exp_products(a, a, tile, skip_own=True).sum(), 2 * 64),
        (lambda a, tile: sum_over_pairs(pair_costs, [a, a[:, 0]], [a], tile).sum(), 2 * 64),
    ],
    ids=["log_sum_exp", "pairs"],
)
def test_nothing_large_is_formed(run, most):
    """Forward and backward, of 64 examples with 2 numbers: no tensor is larger than the inputs or a tile."""
    (a,) = tensors((64, 2))
    with Largest() as tiled:
        run(a, 8).backward()
    with Largest() as whole:
        run(a, None).backward()
    assert tiled.elements <= max(most, 2 * 8 * 8) and whole.elements >= 64 * 64
