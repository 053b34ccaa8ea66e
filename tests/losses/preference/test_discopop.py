import math

import torch
from scipy.optimize import brentq

from lossbench.losses.preference.discopop import discopop
from lossbench.losses.preference.dpo import dpo
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")


def test_limit():  # tau infinite: the mean of the logistic and the exponential loss; margins that are large and
    # negative: the logistic loss alone
    values = sample(*WORDS)
    chosen, rejected, ref_chosen, ref_rejected = values
    x = 0.3 * (chosen - ref_chosen - rejected + ref_rejected)
    near(discopop(*values, beta=0.3, tau=1e12), (dpo(*values, beta=0.3) + (-x).exp()) / 2)
    far = [chosen - 400, rejected, ref_chosen, ref_rejected]
    near(discopop(*far, beta=0.3), dpo(*far, beta=0.3))


def test_oracle():  # the formula with plain exponentials, pair by pair
    def loop(chosen, rejected, ref_chosen, ref_rejected, beta, tau):
        losses = []
        for w, v, rw, rv in zip(chosen, rejected, ref_chosen, ref_rejected, strict=True):
            x = beta * (w - rw - v + rv)
            m = 1 / (1 + torch.exp(-x / tau))
            losses.append((1 - m) * torch.log(1 + torch.exp(-x)) + m * torch.exp(-x))
        return torch.stack(losses)

    same(discopop, loop, beta=0.05, tau=0.05)
    same(discopop, loop, beta=0.7, tau=0.4)


def test_hand():  # at the reference: log 2 / 2 + 1 / 2; x = log 3 with tau 1: 1/4 log(4/3) + 3/4 1/3
    chosen = torch.tensor([0.0, math.log(3)], dtype=torch.float64)
    zeros = torch.zeros(2, dtype=torch.float64)
    found = discopop(chosen, zeros, zeros, zeros, beta=1.0, tau=1.0)
    near(found, [math.log(2) / 2 + 0.5, math.log(4 / 3) / 4 + 0.25])


def test_stationary_points():  # at the log-ratios that the paper names: a minimum at -2.3714, a maximum at 1.44012
    def slope(h):
        chosen, zeros = torch.tensor([h], dtype=torch.float64, requires_grad=True), torch.zeros(1, dtype=torch.float64)
        return torch.autograd.grad(discopop(chosen, zeros, zeros, zeros).sum(), chosen)[0].item()

    for place, tolerance in ((-2.3714, 1e-4), (1.44012, 1e-5)):
        found = brentq(slope, place - 0.5, place + 0.5)
        assert abs(found - place) < tolerance
    assert slope(-3) < 0 < slope(0) and slope(2) < 0  # a policy at its reference is drawn to the minimum


def test_extreme():  # where the product of the published code is 0 times infinity
    far = torch.tensor([-6e4, 6e4])
    zeros = torch.zeros(2)
    values, gradients = extreme(discopop, far, zeros, zeros, zeros)
    near(values[0], [3e3, 0.0], 1e-6)
    near(gradients[0], [-0.05, 0.0], 1e-6)
    extreme(discopop, far, zeros, zeros, zeros, tau=5.0)


def test_stacked():
    stacked(discopop, beta=[0.01, 0.05, 1.0], tau=[0.05, 0.5, 5.0])
