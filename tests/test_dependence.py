import itertools
import math

import pytest
import torch

from lossbench.dependence import centred_distances, probabilities, squared_distance_covariance
from tests.losses.support import near


def points(n, d, seed=0):
    return torch.randn((n, d), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distances(x):
    return [[math.dist(a, b) for b in x.tolist()] for a in x.tolist()]


def test_biased_oracle():  # Szekely's other form: E|X-X'||Y-Y'| + E|X-X'| E|Y-Y'| - 2 E|X-X'||Y-Y''|, over the sample
    x, y = points(7, 3), points(7, 2, seed=1)
    a, b, n = distances(x), distances(y), range(7)
    first = sum(a[i][j] * b[i][j] for i in n for j in n) / 7**2
    second = sum(map(sum, a)) / 7**2 * sum(map(sum, b)) / 7**2
    third = sum(a[i][j] * b[i][k] for i in n for j in n for k in n) / 7**3
    near(squared_distance_covariance(x, y, unbiased=False), first + second - 2 * third)


def test_unbiased_oracle():  # the same form over all choices of four different examples
    x, y = points(6, 3), points(6, 2, seed=1)
    a, b = distances(x), distances(y)
    choices = list(itertools.permutations(range(6), 4))
    expected = sum(a[i][j] * (b[i][j] + b[k][m] - 2 * b[i][k]) for i, j, k, m in choices) / len(choices)
    near(squared_distance_covariance(x, y, unbiased=True), expected)


@pytest.mark.parametrize("unbiased", [True, False])
def test_rows_sum_to_0(unbiased):
    centred = centred_distances(points(8, 2), unbiased)
    near(centred.sum(0), torch.zeros(8))
    near(centred, centred.mT)


def test_unbiased_is_0_on_average_for_independent_samples():  # 2,000 draws of 8 examples; 5 standard errors
    values = torch.stack(
        [squared_distance_covariance(points(8, 1, seed=2 * s), points(8, 1, seed=2 * s + 1), True) for s in range(2000)]
    )
    assert values.mean().abs() < 5 * values.std() / math.sqrt(2000)
    biased = torch.stack(
        [squared_distance_covariance(points(8, 1, seed=2 * s), points(8, 1, seed=2 * s + 1), False) for s in range(200)]
    )
    assert biased.min() > 0 and biased.mean() > 10 * biased.std() / math.sqrt(200)


def test_hand():  # two points each, at distance 3 and 5: centred -3/2, 3/2 (and -5/2, 5/2): 15/4
    x, y = (
        torch.tensor([[0.0], [3.0]], dtype=torch.float64),
        torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64),
    )
    near(squared_distance_covariance(x, y, unbiased=False), 15 / 4)


def test_gradient_at_ties_is_finite():
    x = torch.zeros(5, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(squared_distance_covariance(x, points(5, 1), True), x)
    near(gradient, torch.zeros(5, 2))


def test_probabilities():
    near(probabilities(torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)), [[0.75]])
    near(probabilities(torch.zeros(2, 4, dtype=torch.float64)), torch.full((2, 4), 0.25))
