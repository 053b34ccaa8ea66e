import math

import pytest
import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.unlearning.gradient_ascent import gradient_ascent
from lossbench.losses.unlearning.npo import npo
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("completion_logps", "ref_completion_logps", "forget_weights")


def test_limit():  # beta -> 0, up to the constant 2 / beta log 2: gradient ascent on the log-ratio, to first order
    logps, ref, weights = sample(*WORDS)
    ratio = logps - ref
    for beta in (1e-2, 1e-4):
        left = npo(logps, ref, weights, beta=beta) - weights * 2 / beta * math.log(2)
        expected = gradient_ascent(logps, weights) - gradient_ascent(ref, weights)
        near(left - expected, weights * beta / 4 * ratio.square(), tolerance=20 * beta**3 + 1e-10 / beta)


def test_weight_identity():  # gradient ascent's times W = 2 r^beta / (1 + r^beta), which is 1 at pi = ref
    logps, ref, weights = sample(*WORDS)
    for start, beta in ((logps, 0.3), (ref, 0.3), (ref, 2.0)):
        leaf = start.clone().requires_grad_()
        (found,) = torch.autograd.grad(npo(leaf, ref, weights, beta=beta).sum(), leaf)
        (ascent,) = torch.autograd.grad(gradient_ascent(leaf, weights).sum(), leaf)
        r = ((start - ref).exp() ** beta).tolist()
        near(found, [a.item() * 2 * x / (1 + x) for a, x in zip(ascent, r, strict=True)])
        assert found.abs().max() > 0
    assert torch.equal(found, ascent)  # at the base model, exactly


def test_oracle():  # the second form of the paper, example by example, and the losing half of DPO
    for seed in range(3):
        logps, ref, weights = sample(*WORDS, seed=seed)
        found = npo(logps, ref, weights, beta=0.7)
        for i in range(len(logps)):
            ratio = math.exp(logps[i]) / math.exp(ref[i])
            near(found[i], weights[i].item() * 2 / 0.7 * math.log(1 + ratio**0.7))
        nothing = torch.zeros_like(logps)
        near(found, weights * 2 / 0.7 * dpo(nothing, logps, nothing, ref, beta=0.7))


def test_hand():  # r = 3, beta 1: 2 log 4, times 2 for a set of half of the examples; r = 1, beta 2: log 2
    logps, ref = (torch.full((2,), math.log(p), dtype=torch.float64) for p in (0.3, 0.1))
    near(npo(logps, ref, torch.tensor([2.0, 0.0]), beta=1.0), [4 * math.log(4), 0.0])
    near(npo(ref, ref, torch.ones(2), beta=2.0), [math.log(2)] * 2)


def test_extreme():  # what is forgotten has no gradient, what became likelier that of gradient ascent, twice
    _, (gradient, _, _) = extreme(npo, torch.tensor([-6e4, 0.0]), torch.tensor([0.0, -6e4]), torch.ones(2), beta=1.0)
    assert gradient.tolist() == pytest.approx([0, 2])


def test_stacked():
    stacked(npo, beta=[0.01, 0.1, 1.0])
