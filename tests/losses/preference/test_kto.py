import math

import torch

from lossbench.losses.preference.kto import kto
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("completion_logps", "ref_completion_logps", "mismatched_logps", "ref_mismatched_logps", "desirable")


def test_limit():  # the policy at its reference: half of the weights
    logps, _, mismatched, _, _ = sample(*WORDS)
    desirable = torch.tensor([True, False, True, True, False, False])
    values = kto(logps, logps, mismatched, mismatched, desirable, desirable_weight=3.0)
    near(values, [1.5, 0.5, 1.5, 1.5, 0.5, 0.5])


def test_oracle():  # equation 8 example by example, through values: weight - value
    for seed in range(3):
        logps, ref, mismatched, ref_mismatched, desirable = sample(*WORDS, seed=seed)
        found = kto(logps, ref, mismatched, ref_mismatched, desirable, beta=0.4, desirable_weight=1.5)
        z = max(0.0, sum((a - b).item() for a, b in zip(mismatched, ref_mismatched, strict=True)) / len(logps))
        for i in range(len(logps)):
            r = (logps[i] - ref[i]).item()
            if desirable[i]:
                value, weight = 1.5 / (1 + math.exp(-0.4 * (r - z))), 1.5
            else:
                value, weight = 1 / (1 + math.exp(-0.4 * (z - r))), 1.0
            near(found[i], weight - value)


def test_reference_point():  # of two seeds with means of either sign one is cut at 0; it has no gradient
    logps, ref, _, ref_mismatched, desirable = sample(*WORDS)
    below = kto(logps, ref, ref_mismatched - 1, ref_mismatched, desirable)
    near(below, kto(logps, ref, ref_mismatched, ref_mismatched, desirable))
    above = (ref_mismatched + 2).requires_grad_()
    values = kto(logps.requires_grad_(), ref, above, ref_mismatched, desirable)
    assert (values != below).all()
    assert torch.autograd.grad(values.sum(), above, allow_unused=True) == (None,)


def test_hand():  # r = log 3 + 1, z = 1, beta 1: sigmoid(log 3) = 3/4
    logps = torch.tensor([math.log(3) + 1, math.log(3) + 1], dtype=torch.float64)
    zeros, ones = torch.zeros(2), torch.ones(2)
    found = kto(logps, zeros, ones, zeros, torch.tensor([True, False]), beta=1.0)
    near(found, [0.25, 0.75])


def test_extreme():
    far = torch.tensor([-6e4, 6e4])
    extreme(kto, far, torch.zeros(2), far, torch.zeros(2), torch.tensor([True, True]))


def test_stacked():
    stacked(kto, beta=[0.01, 0.1, 1.0], desirable_weight=[1.0, 2.0, 3.0], undesirable_weight=[1.0, 0.5, 2.0])
