import math

import torch
from sklearn.metrics import f1_score

from lossbench.losses.multilabel.dice import dice
from tests.losses.support import near, sample


def test_limit():  # a bundle that is the whole batch, of one example: both are the same
    logits, labels = sample("logits", "labels")
    for form in ("linear", "squared"):
        options = {"form": form, "smoothing": 0.7}
        pooled = torch.stack([dice(logits[i : i + 1], labels[i : i + 1], **options) for i in range(6)])
        near(dice(logits, labels, bundle="example", **options), pooled)
    near(dice(logits, labels, smoothing=1e12), 0.0)


def test_oracle():  # hard decisions: one minus scikit-learn's F1 of each label; soft ones by a loop
    logits, labels = sample("logits", "labels")
    certain = 1e4 * logits
    for form in ("linear", "squared"):
        expected = 1 - f1_score(labels, logits > 0, average="macro", zero_division=0)
        near(dice(certain, labels, form=form, smoothing=0.0), expected)
    p = 1 / (1 + (-logits).exp())
    for form, power in (("linear", 1), ("squared", 2)):
        values = []
        for c in range(5):
            hits = sum(2 * p[i, c] * labels[i, c] for i in range(6))
            whole = sum(p[i, c] ** power + labels[i, c] ** power for i in range(6))
            values.append(1 - (hits + 0.3) / (whole + 0.3))
        near(dice(logits, labels, form=form, smoothing=0.3), sum(values) / 5)


def test_hand():  # p = 1/2 with and without the label: 1 - 1 / 1.5 and 1 together; linear and squared
    logits, labels = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    near(dice(logits, labels, bundle="example", smoothing=0.0), [1 - 1 / 1.5, 1])
    near(dice(logits, labels, bundle="example", smoothing=1.0), [1 - 2 / 2.5, 1 - 1 / 1.5])
    near(dice(logits, labels, smoothing=0.0), 1 - 1 / 2)
    near(dice(logits, labels, smoothing=0.0, form="squared"), 1 - 1 / 1.5)


def test_hard_decisions_of_single_examples():  # without smoothing: 0 for a hit, 1 for both errors, nothing for the rest
    logits = torch.tensor([[1e4], [-1e4], [1e4], [-1e4]], dtype=torch.float64)
    labels = torch.tensor([[1.0], [1.0], [0.0], [0.0]], dtype=torch.float64)
    near(dice(logits, labels, bundle="example", smoothing=0.0), [0, 1, 1, 0])
    near(dice(logits, labels, bundle="example", smoothing=1.0), [0, 1 / 2, 1 / 2, 0])
    assert math.isclose(float(dice(logits, labels, smoothing=0.0)), 1 / 2)
