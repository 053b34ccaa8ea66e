import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.mmpo import mmpo
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps", "reward_margins")


def test_limit():  # positive margins and a large gamma: dpo; equal margins: dpo with that label smoothing
    *values, margins = sample(*WORDS)
    near(mmpo(*values, margins.abs() + 1, gamma=1e3, beta=0.3), dpo(*values, beta=0.3))
    equal = torch.full_like(margins, math.log(4))  # sigmoid(log 4) = 4/5
    near(mmpo(*values, equal, beta=0.3), dpo(*values, beta=0.3, label_smoothing=0.2))


def test_oracle():  # cross-entropy of two Bernoulli distributions, by torch
    *values, margins = sample(*WORDS)
    chosen, rejected, ref_chosen, ref_rejected = values
    logits = 0.3 * (chosen - ref_chosen - rejected + ref_rejected)
    target = torch.sigmoid(0.7 * margins)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    near(mmpo(*values, margins, gamma=0.7, beta=0.3), expected)


def test_lowest_where_implicit_and_true_margins_agree():
    margins = torch.tensor([2.0, -1.0], dtype=torch.float64)
    chosen = (4 * margins).requires_grad_()  # beta 1/4
    zeros = torch.zeros(2, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(mmpo(chosen, zeros, zeros, zeros, margins, beta=0.25).sum(), chosen)
    near(gradient, 0.0)


def test_hand():  # p = 3/4, sigmoid(u) = 1/2: log 2; p = 3/4, sigmoid(u) = 1/4: 3/4 log 4 + 1/4 log(4/3)
    margins = torch.full((2,), math.log(3), dtype=torch.float64)
    chosen = torch.tensor([0.0, -math.log(3)], dtype=torch.float64)
    zeros = torch.zeros(2, dtype=torch.float64)
    found = mmpo(chosen, zeros, zeros, zeros, margins, beta=1.0)
    near(found, [math.log(2), 0.75 * math.log(4) + 0.25 * math.log(4 / 3)])


def test_extreme():
    far, zeros = torch.tensor([-6e4, 0.0]), torch.zeros(2)
    extreme(mmpo, far, far.flip(0), zeros, zeros, torch.tensor([6e4, -6e4]))


def test_stacked():
    stacked(mmpo, gamma=[0.3, 1.0, 2.2], beta=[0.01, 0.1, 1.0])
