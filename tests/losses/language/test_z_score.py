import math
import statistics

import torch

from lossbench.losses.language.z_score import z_score
from tests.losses.support import near, sample


def test_invariance():  # shift and positive scale change nothing, also far away and tiny
    logits, targets = sample("logits", "targets")
    expected = z_score(logits, targets, a=0.5, b=1.0)
    for scale, shift in ((3.0, -2.0), (1e-6, 0.0), (1e150, 0.0), (1e-200, 0.0), (1.0, 1e6)):
        near(z_score(scale * logits + shift, targets, a=0.5, b=1.0), expected, 1e-7)


def test_limit():  # a to infinity: a hinge at b
    logits, targets = sample("logits", "targets")
    z = torch.stack([(o[y] - o.mean()) / o.std(correction=0) for o, y in zip(logits, targets, strict=True)])
    near(z_score(logits, targets, a=1e9, b=0.5), (0.5 - z).clamp(min=0), 1e-8)


def test_oracle():  # the formula with the standard library's population deviation
    for seed in range(3):
        logits, targets = sample("logits", "targets", seed=seed)
        expected = []
        for o, y in zip(logits.tolist(), targets.tolist(), strict=True):
            z = (o[y] - statistics.fmean(o)) / statistics.pstdev(o)
            expected.append(math.log1p(math.exp(2.0 * (1.5 - z))) / 2.0)
        near(z_score(logits, targets, a=2.0, b=1.5), expected)


def test_hand():  # (3, -1, -1, -1): mean 0, deviation sqrt(12 / 4), z = sqrt(3), the largest there is for 4
    logits = torch.tensor([[3.0, -1, -1, -1]], dtype=torch.float64)
    near(z_score(logits, torch.tensor([0])), [math.log1p(math.exp(-math.sqrt(3)))])
    near(z_score(torch.full((1, 4), 7.0), torch.tensor([2])), [math.log(2)], 1e-6)


def test_gradient():  # sums to 0 and does not change the deviation: orthogonal to the centred scores
    logits, targets = sample("logits", "targets")
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(z_score(logits, targets).sum(), logits)
    near(gradient.sum(1), torch.zeros(6))
    near((gradient * (logits - logits.mean(1, keepdim=True))).sum(1), torch.zeros(6))
    assert gradient.abs().amax(1).min() > 1e-3
