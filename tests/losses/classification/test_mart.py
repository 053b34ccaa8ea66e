import math

import torch

from lossbench.losses.classification.mart import mart
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # weight = 0 names the attacked inputs only: boosted cross-entropy, from probabilities
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    p = adversarial.softmax(-1)
    terms = mart(clean, adversarial, targets, weight=0.0)
    near(terms["robust"], 0.0)
    for i, y in enumerate(targets):
        wrong = max(p[i, c] for c in range(p.shape[1]) if c != y)
        near(terms["boosted_cross_entropy"][i], -p[i, y].log() - (1 - wrong).log())


def test_oracle():  # the form of the authors' code: the two largest probabilities, and pointwise KL
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    p, moved = clean.softmax(-1), adversarial.softmax(-1)
    largest = moved.argsort(1)[:, -2:]
    wrong = torch.where(largest[:, 1] == targets, largest[:, 0], largest[:, 1])
    boosted = torch.nn.functional.cross_entropy(adversarial, targets, reduction="none")
    boosted += torch.nn.functional.nll_loss((1 - moved).log(), wrong, reduction="none")
    pointwise = torch.nn.functional.kl_div(moved.log(), p, reduction="none").sum(1)
    terms = mart(clean, adversarial, targets, weight=5.0)
    near(terms["boosted_cross_entropy"], boosted)
    near(terms["robust"], 5 * pointwise * (1 - p.gather(1, targets[:, None])[:, 0]))


def test_hand():  # p = (1/2, 1/4, 1/4), p' = (1/4, 1/2, 1/4), class 0: -log(1/4) - log(1 - 1/2) = log 8;
    # KL = 1/2 log 2 - 1/4 log 2 = 1/4 log 2, times 1 - 1/2
    clean = torch.tensor([[math.log(2), 0.0, 0.0]], dtype=torch.float64)
    terms = mart(clean, clean.roll(1, -1), torch.tensor([0]), weight=4.0)
    near(terms["boosted_cross_entropy"], [math.log(8)])
    near(terms["robust"], [4 * 0.25 * math.log(2) * 0.5])


def test_extreme():  # certain everywhere: -log p' and -log(1 - max p') are both the margin
    targets = torch.tensor([0, 1])
    clean = 2e4 * torch.eye(3)[:2]
    values, gradients = extreme(lambda c, a: mart(c, a, targets), clean, clean.roll(1, -1))
    near(values[0], [4e4] * 2, 1e-4)
    assert gradients[1].abs().amax(1).min() > 1


def test_stacked():
    stacked(mart, weight=[0.0, 1.0, 6.0])
