import torch

from lossbench.losses.classification.brier import brier
from lossbench.losses.classification.score import score
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # weight = 0 is the Brier loss of the clean inputs, and so is an attack that moves nothing
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    for moved, weight in ((adversarial, 0.0), (clean - 1.0, 4.0)):
        terms = score(clean, moved, targets, weight=weight)
        near(terms["brier"] + terms["robust"], brier(clean, targets))


def test_oracle():  # summed over the classes, class by class: torch's mean squared error times their number
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    terms = score(clean, adversarial, targets, weight=4.0)
    for i in range(len(targets)):
        p, moved = clean[i].softmax(0), adversarial[i].softmax(0)
        near(terms["robust"][i], 4 * 5 * torch.nn.functional.mse_loss(moved, p))
        near(terms["brier"][i], sum((p[c] - float(c == targets[i])) ** 2 for c in range(5)))


def test_hand():  # p = (1/2, 1/2), p' = (1, 0) up to exp(-40): 1/4 + 1/4, three times; Brier 1/4 + 1/4
    terms = score(torch.zeros(1, 2).double(), torch.tensor([[40.0, 0.0]]).double(), torch.tensor([1]), weight=3.0)
    near(terms["robust"], [1.5])
    near(terms["brier"], [0.5])


def test_gradient_through_both_sides():  # d |p' - p|^2 / dp = -2 (p' - p): opposite to that of p'
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    clean.requires_grad_(), adversarial.requires_grad_()
    found = torch.autograd.grad(score(clean, adversarial, targets)["robust"].sum(), (clean, adversarial))
    p, moved = clean.softmax(-1), adversarial.softmax(-1)
    for gradient, q, sign in ((found[0], p, -1), (found[1], moved, 1)):
        slope = 6.0 * sign * (moved - p)
        near(gradient, q * (slope - (slope * q).sum(-1, keepdim=True)))


def test_extreme():  # certain of one class, moved to another: |p' - p|^2 = 2
    targets = torch.tensor([0, 1])
    clean = 2e4 * torch.eye(3)[:2]
    values, _ = extreme(lambda c, a: score(c, a, targets), clean, clean.roll(1, -1))
    near(values[1], [6.0, 6.0])
    near(values[0], [0.0, 0.0])


def test_stacked():
    stacked(score, weight=[0.0, 1.0, 4.0])
