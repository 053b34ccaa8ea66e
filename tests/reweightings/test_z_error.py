import math
import statistics

import torch

from lossbench.reweightings.z_error import z_error
from tests.losses.support import near, sample


def test_limit():  # no threshold, a batch of equal losses, a batch of one: all count alike
    (losses,) = sample("losses")
    near(z_error(losses, threshold=math.inf), torch.ones(6))
    near(z_error(torch.full((5,), 3.0)), torch.ones(5))
    near(z_error(torch.tensor([7.0])), torch.ones(1))


def test_oracle():  # the formula with the standard library's sample deviation; the mean is that of the kept ones
    for seed in range(5):
        (losses,) = sample("losses", seed=seed, B=20)
        mean, std = statistics.mean(losses.tolist()), statistics.stdev(losses.tolist())
        kept = [value for value in losses.tolist() if abs(value - mean) <= 1.5 * std]
        assert 0 < len(kept) < 20
        near((z_error(losses, threshold=1.5) * losses).mean(), statistics.mean(kept))


def test_hand():  # (0, 0, 0, 0, 0, 6): mean 1, variance 30 / 5 = 6; z = 5 / sqrt(6) = 2.04 of the last is above 2
    losses = torch.tensor([0.0, 0, 0, 0, 0, 6], dtype=torch.float64)
    near(z_error(losses, threshold=2.0), [1.2, 1.2, 1.2, 1.2, 1.2, 0])
    near(z_error(losses, threshold=2.05), torch.ones(6))  # with n instead of n - 1 it would be sqrt(5) = 2.24


def test_tokens():  # the statistic is over all elements
    (losses,) = sample("losses", tokens=True)
    near(z_error(losses, threshold=1.0), z_error(losses.flatten(), threshold=1.0).view(6, 7))
