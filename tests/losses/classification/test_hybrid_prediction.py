import math

import torch
import torch.nn.functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.hybrid_prediction import hybrid_prediction
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # no abnormal event: cross-entropy. weight = -1: abnormal events count nothing
    logits, targets, anomalies = sample("logits", "targets", "anomalies")
    near(hybrid_prediction(logits, targets, torch.zeros_like(anomalies)), cross_entropy(logits, targets))
    found = hybrid_prediction(logits, targets, anomalies, weight=-1.0)
    near(found, torch.where(anomalies, 0, cross_entropy(logits, targets)))
    assert anomalies.any() and not anomalies.all()


def test_oracle():  # torch's cross-entropy with probabilities as targets: 1 / (C - 1) on the others, 0 on the own
    for tokens in (False, True):
        logits, targets, anomalies = sample("logits", "targets", "anomalies", tokens=tokens)
        expected = []
        for z, y, abnormal in zip(logits.view(-1, 5), targets.flatten(), anomalies.flatten(), strict=True):
            target = torch.full((5,), 1 / 4).double() if abnormal else torch.zeros(5).double()
            target[y] = 0.0 if abnormal else 1.0
            expected.append(F.cross_entropy(z[None], target[None]) * (4 if abnormal else 1))
        near(hybrid_prediction(logits, targets, anomalies, weight=3.0), torch.stack(expected).view(targets.shape))


def test_hand():  # p = (1/4, 3/4), observed class 1: normal -log 3/4; abnormal (1 + 10) * -log 1/4, the other class
    logits = torch.tensor([[0.0, math.log(3)]] * 2, dtype=torch.float64)
    found = hybrid_prediction(logits, torch.tensor([1, 1]), torch.tensor([False, True]))
    near(found, [math.log(4 / 3), 11 * math.log(4)])


def test_best_prediction():  # the gradient vanishes where an abnormal event has 0 on its class and the rest is even
    logits = torch.tensor([[-40.0, 0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    hybrid_prediction(logits, torch.tensor([0]), torch.tensor([True])).sum().backward()
    near(logits.grad, [[0.0] * 4], 1e-12)


def test_extreme():  # certain of the observed class: normal 0; abnormal all the other three are wrong by 2e4
    logits = torch.tensor([[2e4, 0.0, 0.0, 0.0]])
    near(extreme(hybrid_prediction, logits, torch.tensor([0]), torch.tensor([False]))[0][0], [0.0])
    near(extreme(hybrid_prediction, logits, torch.tensor([0]), torch.tensor([True]), weight=0.0)[0][0], [2e4])


def test_stacked():
    stacked(hybrid_prediction, weight=[-1.0, 0.0, 10.0])
