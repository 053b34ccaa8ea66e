import pytest
import torch

from lossbench.aggregations.pcgrad import pcgrad
from tests.aggregations.support import SHAPES, jacobian
from tests.losses.support import near


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_limit():  # without conflicts, the sum; one gradient
    agreeing = jacobian((3, 4)).abs()
    near(pcgrad(agreeing, draws()), agreeing.sum(0), 1e-12)
    one = jacobian((1, 5))
    near(pcgrad(one, draws()), one[0], 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_oracle(shape):  # algorithm 1 on the gradients themselves, in the same orders
    for seed in range(3):
        rows, generator = jacobian(shape, seed), draws(seed)
        total = torch.zeros(shape[1], dtype=torch.float64)
        for i in range(shape[0]):
            g = rows[i].clone()
            for j in torch.randperm(shape[0], generator=generator).tolist():
                if j != i and g @ rows[j] < 0:
                    g = g - (g @ rows[j]) / (rows[j] @ rows[j]) * rows[j]
            total += g
        near(pcgrad(rows, draws(seed)), total, 1e-9)


def test_torchjd():  # of two gradients the order does not matter
    aggregation = pytest.importorskip("torchjd.aggregation")
    for seed in range(5):
        rows = jacobian((2, 3), seed, drift=0.0)
        near(pcgrad(rows, draws()), aggregation.PCGrad()(rows), 1e-6)


def test_orders_are_drawn():
    rows = jacobian((4, 3))
    assert len({tuple(pcgrad(rows, draws(seed)).tolist()) for seed in range(10)}) > 1


def test_hand():  # (2, 0) loses its part along (-1, 1): (1, 1); (-1, 1) its part along (2, 0): (0, 1)
    near(pcgrad(torch.tensor([[2.0, 0.0], [-1.0, 1.0]]), draws()), [1.0, 2.0], 1e-6)
