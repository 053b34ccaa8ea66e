import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression

from lossbench.datasets.two_moons import _pulled_apart, two_moons
from tests.datasets.support import generator, splits


def test_without_noise_the_points_lie_on_scikit_learns_half_circles():
    dataset = two_moons(generator=generator(), num_examples=400, noise=0.0)
    points, targets = make_moons(20000, noise=None)
    for split in splits(dataset):
        for c in (0, 1):
            own, circle = split.inputs[split.labels["targets"] == c].double(), torch.tensor(points[targets == c])
            assert torch.cdist(own, circle).amin(1).max() < 1e-3
            assert torch.cdist(circle, own).amin(1).max() < 0.2  # and they fill them


def test_margin():  # the gap is twice the margin, a line separates; without it no line does
    dataset = two_moons(generator=generator(), num_examples=1000, margin=0.1, test_margin=-0.3)
    for split, margin in ((dataset.train, 0.1), (dataset.validation, 0.1), (dataset.test, -0.3)):
        second, positive = split.inputs[:, 1], split.labels["targets"] == 1
        assert -second[positive].max() == pytest.approx(margin, abs=0.02)
        assert second[~positive].min() == pytest.approx(margin, abs=0.02)
    line = LogisticRegression(C=1e4).fit(dataset.train.inputs.numpy(), dataset.train.labels["targets"])
    assert line.score(dataset.train.inputs.numpy(), dataset.train.labels["targets"]) == 1.0
    assert line.score(dataset.test.inputs.numpy(), dataset.test.labels["targets"]) < 0.9


def test_pulled_apart_oracle():  # the steps of the paper's code, one after the other, in numpy
    points, targets = make_moons(300, noise=0.1, random_state=0)
    sign = 2.0 * targets - 1
    moved = points - np.stack([np.full(300, 0.5), 0.3 * sign], 1)
    moved[:, 1] -= moved[:, 1].mean()
    moved[:, 1] *= np.sign(-moved[:, 1] * sign)
    moved[:, 1] -= 0.1 * sign
    np.testing.assert_allclose(_pulled_apart(torch.tensor(points), torch.tensor(sign), 0.1), moved, atol=1e-12)


def test_noise():
    split = two_moons(generator=generator(), num_examples=20000, noise=0.2).train
    positive = split.labels["targets"] == 1
    radius = (split.inputs[~positive]).norm(dim=1)
    assert radius.std().item() == pytest.approx(0.2, abs=0.01)
