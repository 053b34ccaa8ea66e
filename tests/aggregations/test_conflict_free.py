import pytest
import torch

from lossbench.aggregations.conflict_free import conflict_free
from tests.aggregations.support import jacobian
from tests.losses.support import near


def test_limit():  # one gradient; a gradient of 0 beside it says nothing
    one = jacobian((1, 5))
    near(conflict_free(one), one[0], 1e-9)
    near(conflict_free(torch.cat([one, torch.zeros(1, 5)])), one[0], 1e-9)
    near(conflict_free(torch.zeros(2, 3)), torch.zeros(3), 0)
    opposite = torch.tensor([[1.0, 2.0], [-2.0, -4.0]])
    near(conflict_free(opposite), [0.0, 0.0], 1e-5)


def test_oracle():  # equation 2, with numpy's pseudo-inverse of the unit gradients themselves
    import numpy as np

    for seed in range(5):
        rows = jacobian((4, 9), seed).numpy()
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        best = np.linalg.pinv(units) @ np.ones(4)
        best /= np.linalg.norm(best)
        near(conflict_free(torch.from_numpy(rows)), torch.from_numpy(sum(row @ best for row in rows) * best), 1e-8)


def test_same_cosine_with_all():
    for seed in range(5):
        rows = jacobian((4, 9), seed)
        direction = conflict_free(rows)
        cosines = rows @ direction / rows.norm(dim=1) / direction.norm()
        assert cosines.max() - cosines.min() < 1e-9 < cosines.min()


def test_torchjd():
    aggregation = pytest.importorskip("torchjd.aggregation")
    for seed in range(5):
        rows = jacobian((4, 9), seed)
        near(conflict_free(rows), aggregation.ConFIG()(rows), 1e-8)


def test_hand():  # equal cosines with (2, 0) and (0, 1): (1, 1) / sqrt 2; along it they have (2 + 1) / sqrt 2
    near(conflict_free(torch.tensor([[2.0, 0.0], [0.0, 1.0]])), [1.5, 1.5], 1e-6)
