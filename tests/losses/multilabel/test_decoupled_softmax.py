import math

import pytest
import torch
import torch.nn.functional as F

from lossbench.losses.multilabel.decoupled_softmax import decoupled_softmax
from tests.losses.support import extreme, near, same, sample, stacked

BOTH = pytest.mark.parametrize("positives_compete", [False, True])


@BOTH
def test_limit(positives_compete):  # one positive each is cross-entropy, PyTorch's
    logits, targets = sample("logits", "targets")
    one_hot = F.one_hot(targets, 5).double()
    expected = F.cross_entropy(logits, targets, reduction="none")
    near(decoupled_softmax(logits, one_hot, positives_compete=positives_compete), expected)


@BOTH
def test_oracle(positives_compete):  # the formula, written out over examples and positives
    def formula(logits, labels):
        losses = []
        for row, wanted in zip(logits.tolist(), labels.tolist(), strict=True):
            total, number = 0.0, sum(wanted)
            for p, y in enumerate(wanted):
                rivals = [math.exp(s) for c, s in enumerate(row) if c != p and (positives_compete or not wanted[c])]
                total -= y * math.log(math.exp(row[p]) / (math.exp(row[p]) + sum(rivals)))
            losses.append(total / max(number, 1))
        return torch.tensor(losses, dtype=torch.float64)

    same(decoupled_softmax, formula, positives_compete=positives_compete)


def test_hand():  # scores log(3, 2, 1), two positive: (log(4/3) + log(3/2)) / 2; competing (log 2 + log 3) / 2
    logits = torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float64).log()
    labels = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)
    near(decoupled_softmax(logits, labels), [math.log(2) / 2])
    near(decoupled_softmax(logits, labels, positives_compete=True), [math.log(6) / 2])


def test_extreme():  # right by 4e4: 0, and for competing positives log 2; wrong by 4e4: 4e4; nothing or all: 0
    labels = torch.tensor([[1.0, 1.0, 0.0]])
    right = torch.tensor([[2e4, 2e4, -2e4]])
    near(extreme(decoupled_softmax, right, labels)[0][0], [0])
    near(extreme(decoupled_softmax, right, labels, positives_compete=True)[0][0], [math.log(2)], 1e-6)
    values, gradients = extreme(decoupled_softmax, -right, labels)
    near(values[0], [4e4])
    near(gradients[0], [[-0.5, -0.5, 1]])
    for none_or_all in (torch.zeros(1, 3), torch.ones(1, 3)):
        values, gradients = extreme(decoupled_softmax, right, none_or_all)
        near(values[0], [0])
        near(gradients[0], [[0, 0, 0]])


def test_stacked():
    stacked(decoupled_softmax)
