import math

import pytest
import torch
from scipy.optimize import brentq

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.regularizers.spectral_decoupling import spectral_decoupling
from tests.losses.support import near, same, sample


def test_limit():  # weight 0 is no penalty; at the centre there is none either
    same(spectral_decoupling, lambda logits: torch.zeros(logits.shape[:-1], dtype=torch.float64), weight=0.0)
    near(spectral_decoupling(torch.full((2, 3, 5), 1.5), weight=3.0, centre=1.5), torch.zeros(2, 3))


def test_oracle():  # the definition, in loops over the examples
    for tokens in (False, True):
        (logits,) = sample("logits", tokens=tokens)
        rows = logits.reshape(-1, logits.shape[-1]).tolist()
        expected = [0.3 / 2 * sum((z - 0.5) ** 2 for z in row) / len(row) for row in rows]
        near(spectral_decoupling(logits, weight=0.3, centre=0.5).flatten(), expected)
        expected = [0.3 / 2 * (row[1] - row[0] - 0.5) ** 2 for row in rows]
        near(spectral_decoupling(logits[..., :2], weight=0.3, centre=0.5, binary=True).flatten(), expected)


@pytest.mark.parametrize("weight", [0.01, 0.2])
def test_stationary_logit(weight):  # one example: sigmoid(-f) = weight f, by scipy's root finder
    logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    for _ in range(20_000):
        value = cross_entropy(logits, torch.tensor([1])) + spectral_decoupling(logits, weight=weight, binary=True)
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        with torch.no_grad():
            logits -= 0.3 * gradient
        if gradient.abs().max() < 1e-12:
            break
    root = brentq(lambda f: 1 / (1 + math.exp(f)) - weight * f, 0, 50, xtol=1e-12)
    near((logits[0, 1] - logits[0, 0]).detach(), root, 1e-6)


def test_hand():  # 0.1 / 2 (1 + 9) / 2, and binary: 0.1 / 2 (3 + 1)^2
    logits = torch.tensor([[-1.0, 3.0]], dtype=torch.float64)
    near(spectral_decoupling(logits, weight=0.1), [0.25])
    near(spectral_decoupling(logits, weight=0.1, binary=True), [0.8])
