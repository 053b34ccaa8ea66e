import pytest
import torch

from lossbench.aggregations.upgrad import upgrad
from tests.aggregations.support import SHAPES, jacobian, projected
from tests.losses.support import near


def test_limit():
    one = jacobian((1, 5))
    near(upgrad(one), one[0], 1e-12)
    agreeing = jacobian((3, 4)).abs()  # no two of them conflict
    near(upgrad(agreeing), agreeing.mean(0), 1e-12)
    near(upgrad(torch.zeros(3, 4)), torch.zeros(4), 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_oracle(shape):  # every gradient projected by a general solver, in the space of the parameters
    for seed in range(3):
        rows = jacobian(shape, seed, drift=0.0)
        rows[0] -= 2 * rows[1]
        expected = torch.stack([projected(rows, row) for row in rows]).mean(0)
        assert (expected - rows.mean(0)).norm() > 1e-3  # some conflict
        near(upgrad(rows), expected, 1e-5)


def test_torchjd():  # the authors' package, which adds 1e-4 to the diagonal of the Gramian
    aggregation = pytest.importorskip("torchjd.aggregation")
    for seed in range(5):
        rows = jacobian((4, 9), seed)
        near(upgrad(rows), aggregation.UPGrad()(rows), 2e-3)


@pytest.mark.parametrize("shape", [*SHAPES, (32, 200), (32, 20)])
def test_conflicts_with_none(shape):
    for drift in (0.0, 0.3):
        rows = jacobian(shape, 1, drift)
        assert (rows @ upgrad(rows)).min() > -1e-9


def test_scales():  # a gradient that is 10^5 times smaller counts as much for the directions that are allowed
    rows = jacobian((4, 9))
    scale = torch.tensor([1.0, 1e-5, 1.0, 1e5], dtype=torch.float64)
    scaled = upgrad(scale.unsqueeze(1) * rows)
    assert (rows @ scaled).min() > -1e-9 * scaled.norm()
    # linear under scaling: the part of each row is scaled with it
    own = torch.stack([projected(rows, row) for row in rows])
    near(scaled / scaled.norm(), (scale @ own) / (scale @ own).norm(), 1e-5)


def test_hand():  # (2, 0) projects to (1, 1), orthogonal to (-1, 1); and (-1, 1) to (0, 1), orthogonal to (2, 0)
    near(upgrad(torch.tensor([[2.0, 0.0], [-1.0, 1.0]])), [0.5, 1.0], 1e-6)
