import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from lossbench.datasets.two_gaussians import two_gaussians
from tests.datasets.support import generator, splits


def made(**options):
    return two_gaussians(generator=generator(), **{"num_examples": 40_000, "dimensions": 6, **options})


def best(dimensions, condition):
    """covariance^-1 mu and s, from the docstring."""
    variances = np.array([condition ** (-i / (dimensions - 1)) for i in range(dimensions)])
    mean = np.ones(dimensions) / math.sqrt(dimensions)
    return mean / variances, math.sqrt((mean**2 / variances).sum())


def test_moments():
    for split, separability in zip(splits(made(test_separability=0.25)), (4.0, 4.0, 0.25), strict=True):
        x, sign = split.inputs.double(), 2.0 * split.labels["targets"] - 1
        assert abs(sign.mean()) < 1e-9
        centred = x - sign[:, None] / math.sqrt(6)
        covariance = separability * centred.T @ centred / len(x)
        expected = torch.tensor([10 ** (-i / 5) for i in range(6)])
        np.testing.assert_allclose(covariance.diagonal(), expected, rtol=0.05)
        assert (covariance - covariance.diagonal().diag()).abs().max() < 0.03


def test_best_direction():  # scikit-learn's discriminant finds it, and its accuracy is that of the closed form
    dataset = made(test_separability=0.25)
    direction, s = best(6, 10.0)
    fitted = LinearDiscriminantAnalysis().fit(dataset.train.inputs.numpy(), dataset.train.labels["targets"])
    cosine = fitted.coef_[0] @ direction / np.linalg.norm(fitted.coef_[0]) / np.linalg.norm(direction)
    assert cosine > 0.999
    x, targets = dataset.test.inputs.numpy(), dataset.test.labels["targets"].numpy()
    accuracy = ((x @ direction > 0) == (targets == 1)).mean()
    assert accuracy == pytest.approx(norm.cdf(math.sqrt(0.25) * s), abs=0.01)
    # another direction: the cosine in the metric of the covariance
    variances = np.array([10 ** (-i / 5) for i in range(6)])
    other = np.array([1.0, 0, 0, 0, 0, 1.0])
    c = (other * variances) @ direction / math.sqrt((other**2 * variances).sum() * (direction**2 * variances).sum())
    accuracy = ((x @ other > 0) == (targets == 1)).mean()
    assert accuracy == pytest.approx(norm.cdf(c * math.sqrt(0.25) * s), abs=0.01)


def test_separability():  # the same boundary, fewer errors; the splits are different draws
    dataset = made(separability=0.25)
    x, targets = dataset.train.inputs.numpy(), dataset.train.labels["targets"].numpy()
    direction, s = best(6, 10.0)
    assert ((x @ direction > 0) == (targets == 1)).mean() == pytest.approx(norm.cdf(0.5 * s), abs=0.01)
    assert not torch.equal(dataset.train.inputs[:100], dataset.test.inputs[:100])
    assert torch.equal(dataset.train.inputs, made(separability=0.25).train.inputs)
    round_ = made(condition=1.0, dimensions=3)
    assert round_.train.inputs.shape[1] == 3
