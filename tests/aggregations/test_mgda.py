import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from lossbench.aggregations.mgda import mgda
from tests.aggregations.support import SHAPES, jacobian
from tests.losses.support import near


def shortest(rows):
    """Of the hull, by a general solver over the weights."""
    G = (rows @ rows.mT).numpy()
    m = len(G)
    found = minimize(
        lambda a: a @ G @ a,
        np.full(m, 1 / m),
        jac=lambda a: 2 * G @ a,
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": lambda a: np.ones(m)},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    assert found.success
    return torch.from_numpy(found.x) @ rows


def test_limit():
    one = jacobian((1, 5))
    near(mgda(one), one[0], 1e-9)
    opposite = torch.tensor([[1.0, 2.0], [-2.0, -4.0]])  # no direction decreases both
    near(mgda(opposite), [0.0, 0.0], 1e-6)
    near(mgda(torch.zeros(2, 3)), torch.zeros(3), 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_oracle(shape, scale):
    for seed in range(3):
        rows = scale * jacobian(shape, seed, drift=1.0)
        near(mgda(rows) / scale, shortest(rows / scale), 1e-5)


def test_decreases_all_alike():  # the first-order condition: along it, every gradient has at least its squared norm
    for seed in range(5):
        rows = jacobian((4, 9), seed)
        direction = mgda(rows)
        assert (rows @ direction).min() >= direction.square().sum() - 1e-9 > 1e-3


def test_torchjd():  # Frank-Wolfe, which stops near the minimum
    aggregation = pytest.importorskip("torchjd.aggregation")
    for seed in range(5):
        rows = jacobian((4, 9), seed)
        near(mgda(rows), aggregation.MGDA(epsilon=1e-9, max_iters=20000)(rows), 1e-2)


def test_hand():  # between (2, 0) and (0, 1): a = (1/5, 4/5) makes 4 a^2 + (1 - a)^2 least
    near(mgda(torch.tensor([[2.0, 0.0], [0.0, 1.0]])), [0.4, 0.8], 1e-6)
