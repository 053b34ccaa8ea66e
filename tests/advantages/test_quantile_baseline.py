import itertools
from fractions import Fraction

import numpy
import pytest
import torch

from lossbench.advantages.group_normalized import group_normalized
from lossbench.advantages.quantile_baseline import quantile_baseline
from tests.losses.support import near, sample


def test_limit():  # of two completions, a quantile above a half is the larger reward, one below it the smaller
    rewards = torch.tensor([[1.0, 0.0], [0.25, 0.75]], dtype=torch.float64)
    low, high = quantile_baseline(rewards, quantile=0.4), quantile_baseline(rewards, quantile=0.6)
    near((low + high) / 2, group_normalized(rewards))
    near(low[:, 0] + low[:, 1] + high[:, 0] + high[:, 1], torch.zeros(2))


@pytest.mark.parametrize("quantile", ["2/5", "3/5", "1/2", "11/20"])
def test_two_regimes(quantile):  # every pattern of 8 or 20 rewards by number: rare right ones, or wrong ones left
    for number in (8, 20):
        for right in range(number + 1):
            rewards = torch.tensor([[1.0] * right + [0.0] * (number - right)], dtype=torch.float64)
            exact = torch.tensor(float(Fraction(quantile)), dtype=torch.float64)  # 0.55 * 20 is above 11
            found = quantile_baseline(rewards, quantile=exact)[0]
            near(found, quantile_baseline(rewards, quantile=float(exact))[0])
            hard = Fraction(right, number) <= 1 - Fraction(quantile)
            assert (found[:right] > 0).all() == (hard or right == 0)
            assert (found[:right] == 0).all() == (not hard or right == 0)
            assert (found[right:] < 0).all() == (not hard or right == number)
            assert (found[right:] == 0).all() == (hard or right == number)


def test_oracle():  # NumPy's inverse of the distribution function, and its standard deviation, for rewards in [0, 1]
    for seed, quantile in itertools.product(range(3), (0.1, 0.4, 0.73, 0.9)):
        rewards = sample("completion_entropies", R=7, seed=seed)[0].clamp(max=1)
        baseline = numpy.quantile(rewards.numpy(), quantile, axis=1, method="inverted_cdf", keepdims=True)
        expected = (rewards.numpy() - baseline) / (rewards.numpy().std(1, ddof=1, keepdims=True) + 1e-4)
        near(quantile_baseline(rewards, quantile=quantile), expected)


def test_hand():  # one of four right: mean 1/4, variance (9/16 + 3/16) / 3 = 1/4, A = 1 / (1/2 + 1/2) with epsilon 1/2
    hard = torch.tensor([[0.0, 1, 0, 0]], dtype=torch.float64)
    near(quantile_baseline(hard, epsilon=0.5), [[0, 1, 0, 0]])
    near(quantile_baseline(1 - hard, epsilon=0.5), [[0, -1, 0, 0]])
    near(quantile_baseline(torch.ones(1, 4, dtype=torch.float64)), torch.zeros(1, 4))
    near(quantile_baseline(torch.ones(2, 1, dtype=torch.float64)), torch.zeros(2, 1))
