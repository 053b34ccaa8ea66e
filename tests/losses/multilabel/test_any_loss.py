import math

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, fbeta_score, recall_score

from lossbench.losses.multilabel.any_loss import any_loss
from tests.losses.support import extreme, near, sample, stacked


def g_mean(y, z):
    return math.sqrt(recall_score(y, z) * recall_score(y, z, pos_label=0))


HARD = {
    "f_measure": lambda y, z: fbeta_score(y, z, beta=2.0),
    "accuracy": accuracy_score,
    "g_mean": g_mean,
    "balanced_accuracy": balanced_accuracy_score,
}


@pytest.mark.parametrize("metric", HARD)
def test_limit(metric):  # a steep soft decision is the threshold: scikit-learn's metric, averaged over the labels
    logits, labels = sample("logits", "labels", B=40)
    pairs = zip(labels.T.numpy(), (logits > 0).T.numpy(), strict=True)
    expected = sum(HARD[metric](y, z) for y, z in pairs) / 5
    near(any_loss(logits, labels, metric=metric, amplitude=1e7, beta=2.0), 1 - expected)


@pytest.mark.parametrize("metric", HARD)
def test_oracle(metric):  # section 3, written out over labels and examples
    logits, labels = sample("logits", "labels", B=40)
    total = 0.0
    for scores, wanted in zip(logits.T.tolist(), labels.T.tolist(), strict=True):
        tp = fn = fp = tn = 0.0
        for score, y in zip(scores, wanted, strict=True):
            a = 1 / (1 + math.exp(-20 * (1 / (1 + math.exp(-score)) - 0.5)))
            tp, fn, fp, tn = tp + y * a, fn + y * (1 - a), fp + (1 - y) * a, tn + (1 - y) * (1 - a)
        total += {
            "f_measure": 1.25 * tp / (1.25 * tp + 0.25 * fn + fp),
            "accuracy": (tp + tn) / (tp + tn + fp + fn),
            "g_mean": math.sqrt(tp / (tp + fn) * tn / (tn + fp)),
            "balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        }[metric]
    near(any_loss(logits, labels, metric=metric, amplitude=20.0, beta=0.5), 1 - total / 5)


def test_hand():  # p = (3/4, 1/2), y = (1, 0), amplitude 4 log 3: a = (3/4, 1/2), TP 3/4, FN 1/4, FP 1/2: F1 = 2/3
    logits = torch.tensor([[math.log(3)], [0.0]], dtype=torch.float64)
    labels = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    near(any_loss(logits, labels, amplitude=4 * math.log(3)), 1 / 3)


@pytest.mark.parametrize("metric", HARD)
def test_gradient(metric):  # finite differences agree (the authors' gradient of g_mean is four times the true one)
    logits, labels = sample("logits", "labels", B=9)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda scores: any_loss(scores, labels, metric=metric, amplitude=8.0), logits)


@pytest.mark.parametrize("metric", HARD)
def test_one_sided_batches(metric):  # a label without positives, and one without negatives: finite, and a known value
    logits = torch.tensor([[0.3, 0.3], [-2.0, -2.0]])
    labels = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    values, _ = extreme(any_loss, 1e3 * logits, labels, metric=metric)
    # Decisions (1, 0) for both labels. Without positives: F 0, accuracy 1/2, G 0, balanced (0 + 1/2) / 2.
    # Without negatives: F 2/3, accuracy 1/2, G 0, balanced (1/2 + 0) / 2.
    expected = {"f_measure": 1 / 3, "accuracy": 1 / 2, "g_mean": 0, "balanced_accuracy": 1 / 4}
    near(values[0], 1 - expected[metric], 1e-6)


@pytest.mark.parametrize("metric", HARD)
def test_extreme(metric):  # bounded: 1 and 0, without gradient
    logits, labels = torch.tensor([[-2e4, 2e4], [2e4, -2e4]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    for sign, expected in ((1, 1), (-1, 0)):
        values, gradients = extreme(any_loss, sign * logits, labels, metric=metric)
        near(values[0], expected, 1e-6)
        near(gradients[0], torch.zeros(2, 2))


def test_stacked():
    stacked(any_loss, amplitude=[2.0, 20.0, 73.0], beta=[0.5, 1.0, 2.0])
