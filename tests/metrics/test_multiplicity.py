import math

import numpy
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from lossbench.metrics.multiplicity import multiplicity_metrics
from tests.metrics.support import near, random


def data(n=60, width=2, gap=0.7, seed=0):
    targets = torch.arange(n) % 2
    return random(n, width, seed=seed) + gap * (2.0 * targets - 1).unsqueeze(1), targets


def measured(x, targets, tolerance=0.01, difference=0.1, ridge=1e-2, judged=12):
    return multiplicity_metrics(x, targets, tolerance=tolerance, difference=difference, ridge=ridge, judged=judged)


def ends_by_scipy(x, targets, tolerance, ridge, judged):
    """(probability of the best model, smallest, largest) of each judged example, by a general constrained optimiser."""
    rows = numpy.hstack([x.double().numpy(), numpy.ones((len(x), 1))])
    signs = 2.0 * targets.numpy() - 1
    keep = numpy.array([1.0] * x.shape[1] + [0.0])

    def loss(w):
        return numpy.logaddexp(0, -signs * (rows @ w)).mean() + ridge / 2 * (keep * w**2).sum()

    def slope(w):
        return -(signs / (1 + numpy.exp(signs * (rows @ w)))) @ rows / len(rows) + ridge * keep * w

    best = minimize(loss, numpy.zeros(rows.shape[1]), jac=slope, method="BFGS", options={"gtol": 1e-10}).x
    limit = loss(best) + tolerance
    found = []
    for row in rows[:judged]:
        scores = [row @ best]
        for sign in (1, -1):
            result = minimize(
                lambda w, s=sign, r=row: s * (r @ w), best, jac=lambda w, s=sign, r=row: s * r, method="SLSQP",
                constraints={"type": "ineq", "fun": lambda w: limit - loss(w), "jac": lambda w: -slope(w)},
                options={"ftol": 1e-12, "maxiter": 500},
            )  # fmt: skip
            scores.append(row @ result.x)
        found.append([1 / (1 + math.exp(-score)) for score in scores])
    return numpy.array(found)


@pytest.mark.parametrize("gap", [0.2, 0.7, 2.0])
@pytest.mark.parametrize("tolerance", [0.003, 0.05])
def test_oracle(gap, tolerance):
    x, targets = data(gap=gap)
    before, low, high = ends_by_scipy(x, targets, tolerance, 1e-2, 12).T
    actual = measured(x, targets, tolerance=tolerance)
    near(actual["viable_range"], (high - low).mean(), 1e-5)
    moved = numpy.maximum(high - before, before - low)
    assert abs(moved - 0.1).min() > 1e-4  # none is at the edge
    near(actual["ambiguity"], (moved >= 0.1).mean())


def test_lowest_loss_is_scikit_learns():  # a tiny tolerance: all models are the best one
    x, targets = data(n=80, width=4)
    model = LogisticRegression(C=1 / (80 * 1e-2), tol=1e-12, max_iter=10_000).fit(x.double(), targets)
    expected = model.predict_proba(x.double())[:, 1]
    for difference, tolerance in ((1e-3, 1e-10), (1e-9, 1e-10)):
        actual = measured(x, targets, tolerance=tolerance, difference=difference)
        assert actual["viable_range"] < 1e-3
        assert actual["ambiguity"] == (difference < 1e-6)
    before = ends_by_scipy(x, targets, 0.01, 1e-2, 12)[:, 0]
    numpy.testing.assert_allclose(before, expected[:12], atol=1e-5)


def test_hand():
    # One input that is 0: only the bias counts, half of the targets are 1. L(b) = (log(1 + e^b) + log(1 + e^-b)) / 2,
    # lowest at 0 with log 2. It is log 2 + log(5/4) / 2 where e^b = 4: log 5 - log 4 / 2 = log(5/2). So for a tolerance
    # of log(5/2) - log 2 the probabilities reach from 1/5 to 4/5, and a model moves all of them at once by 3/10.
    x, targets = torch.zeros(4, 1), torch.tensor([0, 1, 0, 1])
    for difference, part in ((0.29, 1.0), (0.31, 0.0)):
        actual = measured(x, targets, tolerance=math.log(5 / 4), difference=difference, judged=4)
        near(actual["viable_range"], 3 / 5, 1e-9)
        near(actual["ambiguity"], part)
        near(actual["discrepancy_bound"], part)


def test_discrepancy_is_at_most_the_ambiguity():
    for seed in range(4):
        actual = measured(*data(seed=seed, gap=0.3), tolerance=0.02, judged=60)
        assert 0 < actual["discrepancy_bound"] <= actual["ambiguity"] <= 1


def test_grows_with_the_tolerance():
    x, targets = data()
    ranges = [measured(x, targets, tolerance=t)["viable_range"] for t in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert ranges == sorted(ranges) and ranges[0] < 0.1 < ranges[-1]


def test_separable():  # the ridge gives it a solution
    x, targets = data(gap=6.0)
    assert all(value.isfinite() for value in measured(x, targets, ridge=1e-3).values())


def test_not_finite():
    x, targets = data()
    x[3, 1] = math.nan
    assert all(math.isnan(value) for value in measured(x, targets).values())
