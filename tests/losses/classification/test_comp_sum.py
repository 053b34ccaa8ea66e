import math

import torch

from lossbench.losses.classification.comp_sum import comp_sum
from lossbench.losses.classification.cross_entropy import cross_entropy
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # tau = 1 is cross-entropy, also as the limit from both sides; tau = 2 is 1 - p
    same(comp_sum, cross_entropy, tau=1.0)
    same(comp_sum, cross_entropy, tolerance=1e-6, tau=1.0 + 1e-8)
    same(comp_sum, cross_entropy, tolerance=1e-6, tau=1.0 - 1e-8)
    logits, targets = sample("logits", "targets")
    near(comp_sum(logits, targets, tau=2.0), 1 - logits.softmax(-1).gather(-1, targets[:, None])[:, 0])


def test_oracle():  # Phi of the sum of exponentials, written out; tau = 1.7 is generalised cross-entropy, q = 0.7
    logits, targets = sample("logits", "targets")
    for tau in (0.0, 0.4, 1.7, 3.0):
        found = comp_sum(logits, targets, tau=tau)
        for i, y in enumerate(targets):
            u = sum(math.exp(logits[i, c] - logits[i, y]) for c in range(5) if c != y)
            near(found[i], ((1 + u) ** (1 - tau) - 1) / (1 - tau))
    p = logits.softmax(-1).gather(-1, targets[:, None])[:, 0]
    near(comp_sum(logits, targets, tau=1.7), (1 - p**0.7) / 0.7)


def test_hand():  # scores (log 3, 0), class 1: u = 3, p = 1/4
    logits, targets = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64), torch.tensor([1])
    for tau, expected in ((0.0, 3), (0.5, 2 * (math.sqrt(4) - 1)), (1.0, math.log(4)), (1.5, 2 * 0.5), (2.0, 0.75)):
        near(comp_sum(logits, targets, tau=tau), [expected])


def test_extreme():  # bounded by 1 / (tau - 1) above 1; exact at 1, where both branches of where() must stay finite
    logits, targets = 2e4 * torch.eye(3)[:2], torch.tensor([1, 2])
    for tau, expected in ((1.0, 2e4), (1.5, 2.0), (2.0, 1.0)):
        values, _ = extreme(lambda z, tau=tau: comp_sum(z, targets, tau=tau), logits)
        near(values[0], [expected] * 2, 1e-6)
    values, gradients = extreme(lambda z: comp_sum(z, targets, tau=0.5), torch.tensor([[60.0, 0, 0], [0, 60.0, 0]]))
    near(values[0], [2 * (math.exp(30) - 1)] * 2, 1e-5)
    assert gradients[0].abs().amax(1).min() > 1e12


def test_stacked():
    stacked(comp_sum, tau=[0.5, 1.0, 1.5])
