import math

import torch

from lossbench.losses.multilabel.asymmetric import asymmetric
from lossbench.losses.multilabel.binary_cross_entropy import binary_cross_entropy
from tests.losses.support import extreme, near, same, sample, stacked

PLAIN = {"gamma_positive": 0.0, "gamma_negative": 0.0, "clip": 0.0}


def test_limit():  # without powers and clip it is binary cross-entropy
    same(asymmetric, binary_cross_entropy, **PLAIN)


def test_oracle():  # the paper's formula, written out over examples and labels
    def formula(logits, labels, *, gamma_positive, gamma_negative, clip):
        losses = []
        for row, wanted in zip(logits.tolist(), labels.tolist(), strict=True):
            total = 0.0
            for score, y in zip(row, wanted, strict=True):
                p = 1 / (1 + math.exp(-score))
                q = max(p - clip, 0)
                total -= y * (1 - p) ** gamma_positive * math.log(p) + (1 - y) * q**gamma_negative * math.log(1 - q)
            losses.append(total / len(row))
        return torch.tensor(losses, dtype=torch.float64)

    for gamma_positive, gamma_negative, clip in ((0.0, 4.0, 0.05), (1.5, 0.5, 0.4), (2.0, 2.0, 0.0), (1.0, 0.0, 0.3)):
        same(asymmetric, formula, gamma_positive=gamma_positive, gamma_negative=gamma_negative, clip=clip)


def test_hand():  # p = 3/4 for both, labels (1, 0), gammas 1 and 2, clip 1/4: (1/4 log(4/3) + 1/4 log 2) / 2
    logits = torch.full((1, 2), math.log(3), dtype=torch.float64)
    labels = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    value = asymmetric(logits, labels, gamma_positive=1.0, gamma_negative=2.0, clip=0.25)
    near(value, [(math.log(4 / 3) + math.log(2)) / 8])


def test_easy_negatives():  # p <= clip: neither loss nor gradient, for powers below 1 too; p = clip exactly included
    for gamma in (0.0, 0.5, 4.0):
        logits = torch.tensor([[-3.0, 0.0]], dtype=torch.float64, requires_grad=True)
        value = asymmetric(logits, torch.zeros(1, 2).double(), gamma_negative=gamma, clip=0.5)
        value.sum().backward()
        near(value, [0])
        near(logits.grad, [[0, 0]])


def test_gradient_through_the_powers():  # it is kept: finite differences agree
    logits, labels = sample("logits", "labels")
    logits.requires_grad_()
    chosen = {"gamma_positive": 1.0, "gamma_negative": 3.0, "clip": 0.05}
    assert torch.autograd.gradcheck(lambda scores: asymmetric(scores, labels, **chosen), logits)


def test_extreme():  # clip bounds a wrong negative: -0.95^4 log 0.05; a wrong positive costs its score
    labels = torch.tensor([[1.0], [0.0]])
    wrong = torch.tensor([[-2e4], [2e4]])
    values, gradients = extreme(asymmetric, wrong, labels)
    near(values[0], [2e4, -(0.95**4) * math.log(0.05)], 1e-6)
    near(gradients[0], [[-1], [0]])
    for gamma in (0.0, 0.5, 4.0):
        chosen = {"gamma_positive": gamma, "gamma_negative": gamma, "clip": 0.0}
        values, gradients = extreme(asymmetric, wrong, labels, **chosen)
        near(values[0], [2e4, 2e4])
        near(gradients[0], [[-1], [1]])
        values, gradients = extreme(asymmetric, -wrong, labels, **chosen)
        near(values[0], [0, 0])
        near(gradients[0], [[0], [0]])


def test_stacked():
    stacked(asymmetric, gamma_positive=[0.0, 0.5, 1.0], gamma_negative=[0.0, 4.0, 0.5], clip=[0.0, 0.05, 0.4])
