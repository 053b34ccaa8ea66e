import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.trades import trades
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # weight = 0 is cross-entropy of the clean inputs, and so is an attack that moves nothing
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    for moved, weight in ((adversarial, 0.0), (clean + 3.0, 6.0)):
        terms = trades(clean, moved, targets, weight=weight)
        near(terms["cross_entropy"] + terms["robust"], cross_entropy(clean, targets))


def test_oracle():  # torch's own divergence, with the clean distribution in the place of the target
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    terms = trades(clean, adversarial, targets, weight=2.5)
    for i in range(len(targets)):
        expected = torch.nn.functional.kl_div(adversarial[i].log_softmax(0), clean[i].softmax(0), reduction="sum")
        near(terms["robust"][i], 2.5 * expected)
        near(terms["cross_entropy"][i], torch.nn.functional.cross_entropy(clean[i], targets[i]))


def test_hand():  # p = (3/4, 1/4), p' = (1/2, 1/2): KL = 3/4 log(3/2) + 1/4 log(1/2); -log p[0] = log(4/3)
    clean, adversarial = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)
    terms = trades(clean.double(), adversarial.double(), torch.tensor([0]), weight=2.0)
    near(terms["robust"], [2 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))], 1e-7)
    near(terms["cross_entropy"], [math.log(4 / 3)], 1e-7)


def test_gradient_through_both_sides():  # d KL / d z' = p' - p, and the clean side is not held fixed
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    clean.requires_grad_(), adversarial.requires_grad_()
    of_clean, of_adversarial = torch.autograd.grad(
        trades(clean, adversarial, targets, weight=1.0)["robust"].sum(), (clean, adversarial)
    )
    near(of_adversarial, adversarial.softmax(-1) - clean.softmax(-1))
    assert of_clean.abs().amax(1).min() > 1e-3


def test_extreme():  # certain of the right class, moved to a certain wrong one by 2e4
    targets = torch.tensor([0, 1])
    clean = 2e4 * torch.eye(3)[:2]
    values, gradients = extreme(lambda c, a: trades(c, a, targets), clean, clean.roll(1, -1))
    near(values[1], [6 * 2e4] * 2, 1e-6)
    assert gradients[1].abs().amax(1).min() > 1


def test_stacked():
    stacked(trades, weight=[0.0, 1.0, 6.0])
