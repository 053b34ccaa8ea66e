"""Metrics under attack against loops over classes and examples."""

import math

import torch

from lossbench.metrics.robustness import robustness_metrics, tail_accuracy
from tests.metrics.support import near, random, reference


def given(classes=7, n=200):
    targets = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(0))
    clean = random(n, classes) + 2.0 * torch.nn.functional.one_hot(targets, classes)
    return clean, clean + random(n, classes, seed=1), targets


def test_against_loops():
    clean, attacked, targets = given()
    found = robustness_metrics(clean, attacked, targets)
    right = [int(row.argmax()) == int(y) for row, y in zip(attacked, targets, strict=True)]
    near(found["robust_accuracy"], sum(right) / len(right))
    by_class = sorted(
        sum(r for r, y in zip(right, targets, strict=True) if y == c) / int((targets == c).sum()) for c in range(7)
    )
    near(found["worst_class_robust_accuracy"], by_class[0])
    near(found["tail_robust_accuracy"], sum(by_class[:3]) / 3)  # 0.3 * 7 = 2.1, rounded up
    for name, logits in (("margin", clean), ("robust_margin", attacked)):
        margins = [
            float(row[y]) - max(float(v) for c, v in enumerate(row) if c != y)
            for row, y in zip(logits, targets, strict=True)
        ]
        near(found[name], sum(margins) / len(margins), 1e-6)


def test_scikit_learn():
    from sklearn.metrics import accuracy_score

    clean, attacked, targets = given()
    expected = reference(accuracy_score, targets, attacked.argmax(-1))
    near(robustness_metrics(clean, attacked, targets)["robust_accuracy"], expected)


def test_tail():  # of ten classes three, of which those that do not occur are none
    occurrences = torch.tensor([10] * 10)
    near(tail_accuracy(torch.arange(10), occurrences), (0.0 + 0.1 + 0.2) / 3)
    occurrences[:4] = 0
    near(tail_accuracy(torch.arange(10) * (occurrences > 0), occurrences), (0.4 + 0.5) / 2)  # 0.3 * 6 = 1.8
    near(tail_accuracy(torch.tensor([1, 0]), torch.tensor([4, 0])), 0.25)


def test_a_broken_model_never_looks_good():
    clean, attacked, targets = given()
    for broken in (clean.clone(), attacked.clone()):
        broken[3, 2] = math.nan
        pair = (broken, attacked) if broken[0, 0] == clean[0, 0] else (clean, broken)
        assert all(math.isnan(value) for value in robustness_metrics(*pair, targets).values())


def test_vmap():
    clean, attacked, targets = given()
    stacked = torch.vmap(robustness_metrics, in_dims=(0, 0, None))(
        torch.stack([clean, attacked]), torch.stack([attacked, clean]), targets
    )
    for row, pair in enumerate(((clean, attacked), (attacked, clean))):
        for name, value in robustness_metrics(*pair, targets).items():
            near(stacked[name][row], value)
