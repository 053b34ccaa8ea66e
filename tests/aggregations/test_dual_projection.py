import pytest
import torch

from lossbench.aggregations.dual_projection import dual_projection
from tests.aggregations.support import SHAPES, jacobian, projected
from tests.losses.support import near


def test_limit():  # one gradient; gradients whose mean conflicts with none
    one = jacobian((1, 5))
    near(dual_projection(one), one[0], 1e-12)
    agreeing = jacobian((3, 4)).abs()
    near(dual_projection(agreeing), agreeing.mean(0), 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_oracle(shape):  # the mean projected by a general solver, in the space of the parameters
    for seed in range(3):
        rows = jacobian(shape, seed)
        rows[0] *= -5  # against the mean of the others
        near(dual_projection(rows), projected(rows, rows.mean(0)), 1e-5)
        assert (rows @ dual_projection(rows)).min() > -1e-9


def test_torchjd():
    aggregation = pytest.importorskip("torchjd.aggregation")
    for seed in range(5):
        rows = jacobian((4, 9), seed)
        rows[0] *= -5
        near(dual_projection(rows), aggregation.DualProj()(rows), 5e-3)


def test_hand():  # the mean of (4, 0) and (-2, 2) is (1, 1), against neither; that of (8, 0) and (-2, 2) is (3, 1), and
    near(dual_projection(torch.tensor([[4.0, 0.0], [-2.0, 2.0]])), [1.0, 1.0], 1e-6)
    # against (-2, 2): the nearest point with y_1 <= y_2 is (2, 2)
    near(dual_projection(torch.tensor([[8.0, 0.0], [-2.0, 2.0]])), [2.0, 2.0], 1e-6)
