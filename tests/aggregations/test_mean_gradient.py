import torch

from lossbench.aggregations.mean_gradient import mean_gradient
from tests.aggregations.support import jacobian
from tests.losses.support import near


def test_limit():  # one gradient
    one = jacobian((1, 5))
    near(mean_gradient(one), one[0], 0)


def test_oracle():  # by a loop
    rows = jacobian((4, 9))
    near(mean_gradient(rows), sum(row / 4 for row in rows), 1e-12)


def test_hand():
    near(mean_gradient(torch.tensor([[2.0, 0.0], [-1.0, 1.0]])), [0.5, 0.5], 1e-6)
