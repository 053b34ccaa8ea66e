import torch

from lossbench.reweightings.spectral_risk import spectral_risk
from lossbench.spectral import spectral_weights, spectrum
from tests.losses.support import near, sample


def test_limit():  # a level of 0, or a penalty without end, is the mean
    (losses,) = sample("losses")
    near(spectral_risk(losses, level=0.0), [1.0] * 6, 1e-9)
    near(spectral_risk(losses, smoothing=1e9), [1.0] * 6, 1e-7)


def test_oracle():  # the mean of weight times loss is the linear part of the risk, over all tokens of a batch too
    for tokens in (False, True):
        (losses,) = sample("losses", tokens=tokens)
        q = spectral_weights(losses.flatten(), spectrum(losses.numel(), "extremile", 2.0), 0.1)
        weights = spectral_risk(losses, risk="extremile", level=2.0, smoothing=0.1)
        assert weights.shape == losses.shape
        near((weights * losses).mean(), q @ losses.flatten(), 1e-9)


def test_hand():  # the mean of the worse half: two of four, each twice
    near(spectral_risk(torch.tensor([5.0, 1.0, 2.0, 7.0]), smoothing=0.0), [2.0, 0.0, 0.0, 2.0], 1e-6)
