import math

import torch
from sklearn.metrics import brier_score_loss

from lossbench.losses.classification.brier import brier
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # equal scores: p = 1/C, so (1 - 1/C)^2 + (C - 1) / C^2 = 1 - 1/C
    logits, targets = sample("logits", "targets")
    near(brier(0 * logits, targets), 0.8)


def test_oracle():  # scikit-learn's multi-class score of one example at a time
    def score(logits, targets):
        pairs = zip(logits.softmax(-1), targets.tolist(), strict=True)
        return torch.tensor([brier_score_loss([y], p[None].numpy(), labels=range(5)) for p, y in pairs])

    same(brier, score, 1e-6)


def test_hand():  # p = (1/4, 3/4), true class 0: (3/4)^2 + (3/4)^2
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(brier(logits, torch.tensor([0])), [9 / 8])


def test_no_cancellation():  # 1 - p = 2e-9 is below float32's resolution at 1; two classes: 2 (1 - p)^2
    value = brier(torch.tensor([[20.0, 0.0]]), torch.tensor([0]))
    torch.testing.assert_close(value.double(), torch.tensor([2 * math.exp(-40)]).double(), rtol=1e-5, atol=0)


def test_extreme():  # bounded: 2 and 0, without gradient
    logits, targets = torch.tensor([[-2e4, 2e4]]), torch.tensor([0])
    for sign, expected in ((1, 2), (-1, 0)):
        values, gradients = extreme(brier, sign * logits, targets)
        near(values[0], [expected])
        near(gradients[0], [[0, 0]])


def test_stacked():
    stacked(brier)
