import math

import pytest
import torch

from lossbench.losses.preference.ra_dpo import ra_dpo
from lossbench.losses.preference.tdpo import tdpo
from tests.losses.preference.test_tdpo import divergences, given, margins
from tests.losses.support import extreme, near, stacked


@pytest.mark.parametrize("form", [1, 2])
def test_limit(form):  # all of the probability, or an entropic measure without aversion: tdpo
    values = given()
    expected = tdpo(**values, form=form, alpha=0.7, beta=0.3)
    near(ra_dpo(**values, risk="cvar", level=1.0, form=form, alpha=0.7, beta=0.3), expected)
    near(ra_dpo(**values, risk="entropic", mu=1e-6, form=form, alpha=0.7, beta=0.3), expected, 1e-4)


def entropic(p, ratios, mu=2.0):
    return math.log(sum(a * math.exp(mu * b) for a, b in zip(p, ratios, strict=True))) / mu


def cvar(p, ratios, level=0.4):
    """By its variational form, min over t of t + E max(X - t, 0) / level; the minimum is at one of the values."""
    return min(t + sum(a * max(b - t, 0) for a, b in zip(p, ratios, strict=True)) / level for t in ratios)


@pytest.mark.parametrize("risk", [entropic, cvar])
def test_oracle(risk):  # token by token
    values = given()
    r_w, r_l = divergences(values, "chosen", risk), divergences(values, "rejected", risk)
    h, chosen = margins(values), {"risk": risk.__name__, "mu": 2.0, "level": 0.4, "beta": 0.3}
    near(ra_dpo(**values, **chosen, form=1), torch.log1p(torch.exp(-0.3 * (h - (r_l - r_w)))))
    near(ra_dpo(**values, **chosen, form=2, alpha=0.7), torch.log1p(torch.exp(-0.3 * (h - 0.7 * (r_l - r_w)))))


def test_hand():  # ref (1/2, 1/2), pi (1/4, 3/4): the log-ratios are log 2 and log 2/3
    half, other = torch.zeros(1, 1, 2, dtype=torch.float64), torch.tensor([[[1.0, 3.0]]], dtype=torch.float64).log()
    no, yes = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    values = (half, other, half, half, no, no, no, no, yes, yes)
    # The larger half is log 2; E exp(X) = (2 + 2/3) / 2 = 4/3.
    near(ra_dpo(*values, risk="cvar", level=0.5, form=1, beta=1.0), math.log(1 + 2))
    near(ra_dpo(*values, risk="entropic", mu=1.0, form=1, beta=1.0), math.log(1 + 4 / 3))


def test_extreme():
    far = torch.tensor([[[2e4, -2e4]], [[-2e4, 2e4]]])
    logps, mask = torch.tensor([[-4e4], [0.0]]), torch.ones(2, 1, dtype=torch.bool)
    values = (far, far.flip(0), far.flip(0), far, logps, logps.flip(0), logps.flip(0), logps, mask, mask)
    for risk in ("cvar", "entropic"):
        extreme(lambda *tensors, risk=risk: ra_dpo(*tensors, risk=risk), *values)


def test_stacked():
    shared = {"alpha": [0.0, 0.5, 2.0], "beta": [0.01, 0.1, 1.0]}
    stacked(ra_dpo, mu=[0.1, 1.0, 5.0], **shared)
