import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.squentropy import squentropy
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # where the wrong classes score 0, it is cross-entropy
    targets = sample("targets")[0]
    logits = 3.0 * torch.nn.functional.one_hot(targets, 5).double()
    near(squentropy(logits, targets), cross_entropy(logits, targets))


def test_oracle():  # the definition, written out over examples and classes
    def definition(logits, targets):
        losses = []
        for row, y in zip(logits, targets, strict=True):
            wrong = [row[c] for c in range(len(row)) if c != y]
            losses.append(torch.logsumexp(row, 0) - row[y] + sum(s * s for s in wrong) / len(wrong))
        return torch.stack(losses)

    same(squentropy, definition)


def test_hand():  # scores (2, 0, 1), true class 1: log(e^2 + 1 + e) + (4 + 1) / 2
    logits = torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64)
    near(squentropy(logits, torch.tensor([1])), [math.log(math.e**2 + 1 + math.e) + 2.5])


def test_no_cancellation():  # a true score of 2e4 must not swallow the 1 and 4 of the others, in float32
    near(squentropy(torch.tensor([[2e4, 1.0, 2.0]]), torch.tensor([0])), [2.5])


def test_extreme():  # two classes; gradient of the wrong one: p + 2 score
    logits, targets = torch.tensor([[-2e4, 2e4]]), torch.tensor([0])
    for sign, p in ((1, 1), (-1, 0)):
        values, gradients = extreme(squentropy, sign * logits, targets)
        near(values[0], [4e8 + 4e4 * p], 1e-6)
        near(gradients[0], [[-p, p + sign * 4e4]], 1e-6)
    near(extreme(squentropy, torch.tensor([[7.0]]), torch.tensor([0]))[0][0], [0])  # a single class


def test_stacked():
    stacked(squentropy)
