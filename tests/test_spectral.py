"""Spectral risks: their weights against closed forms and the optimality of the maximum."""

import numpy as np
import pytest
import torch

from lossbench.spectral import spectral_risk, spectral_weights, spectrum
from tests.losses.support import near

RISKS = [("superquantile", 0.5), ("superquantile", 0.3), ("extremile", 2.0), ("exponential", 1.0)]


def some_losses(n=9, seed=0):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).exp()


def test_spectra_by_hand():
    near(spectrum(4, "superquantile", 0.5), [0, 0, 0.5, 0.5])
    near(spectrum(4, "superquantile", 0.3), [0, 0.2 / 0.7, 0.25 / 0.7, 0.25 / 0.7])  # 2.8 of 4 examples
    near(spectrum(3, "extremile", 2.0), [1 / 9, 3 / 9, 5 / 9])
    e = np.exp(np.arange(3) / 2)
    near(spectrum(2, "exponential", 1.0), (e[1:] - e[:-1]) / (np.e - 1))


def test_limits():  # the mean, three ways; no smoothing is the spectrum in the order of the losses
    losses = some_losses()
    for sigma, smoothing in ((spectrum(9, "superquantile", 0.0), 1.0), (spectrum(9, "extremile", 1.0), 0.1),
                             (spectrum(9, "superquantile", 0.5), 1e9)):  # fmt: skip
        near(spectral_weights(losses, sigma, smoothing), [1 / 9] * 9, 1e-7)
    worst = spectral_weights(losses, spectrum(9, "superquantile", 8 / 9), 0.0)
    near(worst, (losses == losses.max()).double(), 1e-7)
    near(spectral_risk(losses, spectrum(9, "superquantile", 2 / 3), 1e-9), losses.sort().values[-3:].mean(), 1e-6)


@pytest.mark.parametrize(("risk", "level"), RISKS)
@pytest.mark.parametrize("smoothing", [0.01, 0.3, 1.0, 5.0])
def test_oracle(risk, level, smoothing):
    """In the permutahedron: sorted, no partial sum of the largest exceeds that of sigma. At the maximum: no vertex is
    better along the gradient g of the objective there, and the best is the sorted g times sigma."""
    for seed in range(3):
        losses, sigma = some_losses(seed=seed), spectrum(9, risk, level)
        q = spectral_weights(losses, sigma, smoothing)
        assert q.sum().item() == pytest.approx(1)
        assert (q.sort(descending=True).values.cumsum(0) <= sigma.flip(0).cumsum(0) + 1e-9).all()
        g = losses - 9 * smoothing * (q - 1 / 9)
        near(g @ q, g.sort().values @ sigma, 1e-9)
        assert (q[losses.argsort()].diff() > -1e-12).all()
        near(spectral_risk(losses, sigma, smoothing), q @ losses - 4.5 * smoothing * ((q - 1 / 9) ** 2).sum())
