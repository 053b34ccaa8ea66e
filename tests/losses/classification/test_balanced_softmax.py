import math

import torch

from lossbench.losses.classification.balanced_softmax import balanced_softmax
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.logit_adjustment import logit_adjustment
from tests.losses.support import near, same


def test_limit():  # equal classes: cross-entropy; always: logit adjustment with weight 1
    logits, targets = torch.randn(6, 5, dtype=torch.float64), torch.randint(5, (6,))
    near(balanced_softmax(logits, targets, torch.full((5,), 30.0)), cross_entropy(logits, targets))
    same(balanced_softmax, logit_adjustment)


def test_oracle():  # the equation by a loop
    def equation(logits, targets, class_counts):
        shares = [n * row.exp() for row, n in zip(logits, [class_counts] * len(logits), strict=True)]
        return torch.stack([-torch.log(share[y] / share.sum()) for share, y in zip(shares, targets, strict=True)])

    same(balanced_softmax, equation)


def test_hand():  # n = 3, 1 and equal scores: the probabilities are 3/4 and 1/4
    logits, counts = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([3.0, 1.0], dtype=torch.float64)
    near(balanced_softmax(logits, torch.tensor([0, 1]), counts), [math.log(4 / 3), math.log(4)])
