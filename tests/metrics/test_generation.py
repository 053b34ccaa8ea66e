import numpy as np
import torch
from scipy.linalg import sqrtm

from lossbench.metrics.generation import frechet_distance
from tests.losses.support import near


def drawn(number, seed, size=4):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return torch.randn(number, size, generator=generator, dtype=torch.float64) @ mix + seed


def test_oracle():  # with scipy's matrix square root
    first, second = drawn(30, 1), drawn(50, 2)
    a, b = np.cov(first.T.numpy()), np.cov(second.T.numpy())
    means = ((first.mean(0) - second.mean(0)) ** 2).sum().item()
    near(frechet_distance(first, second), means + np.trace(a + b - 2 * sqrtm(a @ b).real), 1e-6)


def test_limit():  # a sample and itself, and a shifted copy
    sample = drawn(20, 3)
    near(frechet_distance(sample, sample), 0.0, 1e-9)
    near(frechet_distance(sample, sample + 2.0), 16.0, 1e-9)


def test_hand():  # one axis: deviations 1 and 3, the same mean: (3 - 1)^2
    near(frechet_distance(torch.tensor([[-1.0], [0.0], [1.0]]), torch.tensor([[-3.0], [0.0], [3.0]])), 4.0, 1e-6)
