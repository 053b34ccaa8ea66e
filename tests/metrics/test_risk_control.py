import math

import numpy
import pytest
import torch

from lossbench.metrics.risk_control import risk_control_metrics
from tests.metrics.support import near, random


def stream(n, classes=4, seed=0):
    logits = 2 * random(n, classes, seed=seed)
    labels = (random(n, classes, seed=seed + 1) + logits / 2 > 0.5).float()
    return logits, labels


@pytest.mark.parametrize("decay", [1.0, 0.9, 0.5])
@pytest.mark.parametrize("target", [0.05, 0.2, 0.5])
def test_oracle(decay, target):  # loops over time, lambda, the past and the labels
    logits, labels = stream(60)
    actual = risk_control_metrics(logits[:25], labels[:25], logits[25:], labels[25:], target_risk=target, decay=decay)
    p, truth = logits.double().sigmoid().tolist(), labels.tolist()

    def loss(i, value):
        positives = [c for c in range(4) if truth[i][c]]
        missed = [c for c in positives if p[i][c] < 1 - value]
        return len(missed) / len(positives) if positives else 0.0

    grid = numpy.linspace(0, 1, 101).tolist()
    risks, sizes, chosen = [], [], []
    for n in range(25, 60):
        weights = [decay ** (n - i) for i in range(n)]
        for value in grid:
            total = sum(w * loss(i, value) for i, w in enumerate(weights))
            if (total + 1) / (sum(weights) + 1) <= target:
                break
        chosen.append(value)
        risks.append(loss(n, value))
        sizes.append(sum(q >= 1 - value for q in p[n]))
    near(actual["controlled_risk"], sum(risks) / 35)
    near(actual["controlled_risk_gap"], abs(sum(risks) / 35 - target))
    near(actual["controlled_lambda"], sum(chosen) / 35)
    near(actual["controlled_set_size"], sum(sizes) / 35)


@pytest.mark.parametrize("decay", [1.0, 0.97])
def test_one_label_is_a_weighted_quantile(decay):  # the loss is then 1[missed]: non-exchangeable split conformal
    n, target = 200, 0.1
    draw = torch.Generator().manual_seed(3)
    p = torch.randint(1, 100, (n + 1,), generator=draw) / 100 - 0.005  # between the values of the grid
    logits = torch.logit(p).unsqueeze(1)
    actual = risk_control_metrics(
        logits[:n], torch.ones(n, 1), logits[n:], torch.ones(1, 1), target_risk=target, decay=decay
    )
    scores = (1 - p[:n]).numpy()
    weights = decay ** numpy.arange(n, 0, -1)
    order = numpy.argsort(scores)
    part = numpy.cumsum(weights[order]) / (weights.sum() + 1)  # the test point has weight 1, at infinity
    quantile = scores[order][numpy.searchsorted(part, 1 - target - 1e-12)]
    near(actual["controlled_lambda"], math.ceil(quantile * 100) / 100, 1e-9)


def test_hand():
    # One past example with a missed positive below lambda = 0.5, decay 1: (0 + 1) / 2 = 1/2 from there on, which is the
    # target; below, (1 + 1) / 2. So lambda = 0.5; the next example's positive with p = 0.4 < 0.5 is missed, one of two.
    logits = torch.logit(torch.tensor([[0.505, 0.9], [0.4, 0.9]], dtype=torch.float64))
    labels = torch.tensor([[1.0, 0], [1, 1]])
    actual = risk_control_metrics(logits[:1], labels[:1], logits[1:], labels[1:], target_risk=0.5, decay=1.0)
    near(actual["controlled_lambda"], 0.5)
    near(actual["controlled_risk"], 0.5)
    near(actual["controlled_risk_gap"], 0.0)
    near(actual["controlled_set_size"], 1.0)
    # A target below 1 / (1 + 1) cannot be kept with one example: everything is in the set.
    actual = risk_control_metrics(logits[:1], labels[:1], logits[1:], labels[1:], target_risk=0.4, decay=1.0)
    near(actual["controlled_lambda"], 1.0)
    near(actual["controlled_set_size"], 2.0)


def test_risk_is_controlled():  # of exchangeable examples, near the target from below
    logits, labels = stream(3000, classes=6)
    for decay in (1.0, 0.995):
        actual = risk_control_metrics(
            logits[:1000], labels[:1000], logits[1000:], labels[1000:], target_risk=0.2, decay=decay
        )
        assert 0.17 < actual["controlled_risk"] < 0.205


def test_not_finite_and_stacked():
    logits, labels = (torch.stack([stream(40, seed=s)[i] for s in (0, 5)]) for i in (0, 1))

    def measured(z, y):
        return risk_control_metrics(z[:15], y[:15], z[15:], y[15:], target_risk=0.3, decay=0.95)

    together = torch.vmap(measured)(logits, labels)
    for i in range(2):
        for name, value in measured(logits[i], labels[i]).items():
            near(together[name][i], value)
    logits[0, 3, 2] = math.nan
    assert all(math.isnan(value) for value in measured(logits[0], labels[0]).values())
