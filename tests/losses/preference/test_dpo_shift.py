import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.dpo_shift import dpo_shift
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps", "progress")


def test_limit():  # a factor of 1 is dpo
    values = sample(*WORDS)
    near(dpo_shift(*values, start=1.0, end=1.0, beta=0.3), dpo(*values[:4], beta=0.3))


def test_oracle():  # pair by pair, with ratios of probabilities; the factor grows with the steps
    *values, progress = sample(*WORDS)
    factor = 0.5 + 0.4 * progress.item()
    found = dpo_shift(*values, progress, start=0.5, end=0.9, beta=0.3)
    for i, (w, v, rw, rv) in enumerate(zip(*[t.tolist() for t in values], strict=True)):
        odds = (math.exp(w) / math.exp(rw)) ** 0.3 / (math.exp(v) / math.exp(rv)) ** (0.3 * factor)
        near(found[i], math.log(1 + 1 / odds))


def test_gradients():  # that of the rejected completion is the factor times that of the chosen one
    *values, progress = sample(*WORDS)
    leaves = [v.requires_grad_() for v in values[:2]]
    loss = dpo_shift(*leaves, *values[2:], progress, start=0.6, end=0.6).sum()
    up, down = torch.autograd.grad(loss, leaves)
    near(down, -0.6 * up)


def test_hand():  # beta 1, factors 1/2 to 1 half way: 3/4; log-ratios 1 and -4: 1 + 3 = 4
    given = [torch.tensor([v], dtype=torch.float64) for v in (-2.0, -6.0, -3.0, -2.0)]
    near(dpo_shift(*given, torch.tensor(0.5), start=0.5, end=1.0, beta=1.0), math.log(1 + math.exp(-4)))


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(dpo_shift, far, far.flip(0), torch.zeros(2), torch.zeros(2), torch.tensor(0.5))


def test_stacked():
    stacked(dpo_shift, start=[0.5, 0.75, 1.0], end=[1.0, 0.75, 0.9], beta=[0.01, 0.1, 1.0])
