import math

import torch
from sklearn.metrics import brier_score_loss

from lossbench.losses.classification.correctness_aware import correctness_aware
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # equal scores: p = 1/5 and the first class is the prediction
    logits = torch.zeros(2, 5, dtype=torch.float64)
    near(correctness_aware(logits, torch.tensor([0, 3])), [(4 / 5) ** 2, (1 / 5) ** 2])


def test_oracle():  # the mean is scikit-learn's Brier score of the event that the prediction is right
    for seed in range(3):
        logits, targets = sample("logits", "targets", seed=seed, B=40)
        p = logits.softmax(-1)
        right = logits.argmax(-1) == targets
        near(correctness_aware(logits, targets).mean(), brier_score_loss(right.numpy(), p.amax(-1).numpy()))


def test_loop():  # the equation, also per token
    def loop(logits, targets):
        rows, classes = logits.softmax(-1).flatten(0, -2).tolist(), targets.flatten().tolist()
        values = [(float(row.index(max(row)) == y) - max(row)) ** 2 for row, y in zip(rows, classes, strict=True)]
        return torch.tensor(values, dtype=torch.float64).reshape(targets.shape)

    same(correctness_aware, loop)
    logits, targets = sample("logits", "targets", tokens=True)
    near(correctness_aware(logits, targets), loop(logits, targets))


def test_hand():  # p = (1/4, 3/4): 1/16 where class 1 is right, 9/16 where it is wrong
    logits = torch.tensor([[0.0, math.log(3)]] * 2, dtype=torch.float64)
    near(correctness_aware(logits, torch.tensor([1, 0])), [1 / 16, 9 / 16])


def test_no_cancellation():  # 1 - p = 2e-9 is below float32's resolution at 1
    value = correctness_aware(torch.tensor([[20.0, 0.0]]), torch.tensor([0]))
    torch.testing.assert_close(value.double(), torch.tensor([math.exp(-40)]).double(), rtol=1e-5, atol=0)


def test_extreme():
    logits, targets = torch.tensor([[-2e4, 2e4]]), torch.tensor([0])
    for sign, expected in ((1, 1), (-1, 0)):
        values, gradients = extreme(correctness_aware, sign * logits, targets)
        near(values[0], [expected])
        near(gradients[0], [[0, 0]])


def test_stacked():
    stacked(correctness_aware)
