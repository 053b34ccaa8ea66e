import itertools
import math
from fractions import Fraction

import pytest
import torch
from sklearn.metrics import accuracy_score

from lossbench.metrics.selective import Ordered, log_odds, lowest_aurc, rejection_metrics, selective_metrics
from tests.metrics.support import near, random


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    targets = torch.randint(5, (100,), generator=draw)
    right = torch.nn.functional.one_hot(targets, 5).float()
    learned = random(100, 5) + 2 * right
    return {
        "learned": (learned, targets),
        "random": (random(100, 5), targets),
        "tied": (learned[torch.arange(100) // 3], targets),  # three times the same scores, in the same order
        "all equal": (torch.zeros(100, 5), targets),
        "single class": (learned, torch.full((100,), 2)),
        "single example": (learned[:1], targets[:1]),
        "perfectly right": (9 * right, targets),
        "perfectly wrong": (-9 * right, targets),
        "two classes": (learned[:, :2], targets % 2),
        "very sure": (100 * learned, targets),  # most probabilities round to 1
    }


def blocks_of(logits: torch.Tensor, targets: torch.Tensor) -> list[tuple[int, int]]:
    """(size, errors) of each group of equally certain examples, the most certain first."""
    rows = logits.double().tolist()
    predicted = [max(range(len(row)), key=row.__getitem__) for row in rows]
    odds = []
    for row, c in zip(rows, predicted, strict=True):
        rest = [z for i, z in enumerate(row) if i != c]
        odds.append(row[c] - max(rest) - math.log(sum(math.exp(z - max(rest)) for z in rest)))
    wrong = [c != y for c, y in zip(predicted, targets.tolist(), strict=True)]
    order = sorted(range(len(rows)), key=lambda i: -odds[i])
    groups: list[list[int]] = []
    for i in order:
        if groups and abs(odds[groups[-1][0]] - odds[i]) < 1e-9:
            groups[-1].append(i)
        else:
            groups.append([i])
    return [(len(group), sum(wrong[i] for i in group)) for group in groups]


@pytest.mark.parametrize("case", cases())
def test_oracle(case):  # exact fractions, the mean over all orders of equally certain examples
    logits, targets = cases()[case]
    blocks, count = blocks_of(logits, targets), len(targets)
    risks, thresholds = [], []
    taken, wrong = 0, Fraction(0)
    for size, errors in blocks:
        for _ in range(size):
            taken, wrong = taken + 1, wrong + Fraction(errors, size)
            risks.append(wrong / taken)
        thresholds.append((Fraction(taken, count), risks[-1]))
    actual = selective_metrics(logits, targets)
    total = sum(errors for _, errors in blocks)
    lowest = sum(Fraction(k - (count - total), k) for k in range(count - total + 1, count + 1)) / count
    near(actual["aurc"], float(sum(risks) / count))
    near(actual["excess_aurc"], float(sum(risks) / count - lowest))
    near(actual["selective_accuracy_at_80"], float(1 - risks[-(-count * 4 // 5) - 1]))
    for name, risk in (("coverage_at_1_percent_risk", 0.01), ("coverage_at_5_percent_risk", 0.05)):
        near(actual[name], float(max([c for c, r in thresholds if r <= risk], default=0)))


def test_all_orders_of_a_tie():  # the definition itself: every order of the tied examples, averaged
    scores, errors = torch.tensor([3.0, 2, 2, 2, 1]), torch.tensor([False, True, False, True, False])
    areas = []
    for middle in itertools.permutations((True, False, True)):
        wrong = torch.tensor([False, *middle, False]).double().cumsum(0)
        areas.append((wrong / torch.arange(1, 6)).mean())
    near(Ordered(scores, errors).aurc(), torch.stack(areas).mean())


def test_selective_accuracy_is_accuracy_of_the_kept():  # scikit-learn, on the examples that are kept
    logits, targets = cases()["learned"]
    kept = logits.double().softmax(-1).amax(-1).sort(descending=True).indices[:80]
    expected = accuracy_score(targets[kept], logits[kept].argmax(-1))
    near(selective_metrics(logits, targets)["selective_accuracy_at_80"], expected)


def test_hand():
    # From the most certain: right, wrong, right, right, wrong. Risks 0, 1/2, 1/3, 1/4, 2/5.
    # Lowest area with two errors of five: risks 0, 0, 0, 1/4, 2/5. The four most certain have risk 1/4.
    scores, errors = torch.tensor([5.0, 4, 3, 2, 1]), torch.tensor([False, True, False, False, True])
    ordered = Ordered(scores, errors)
    near(ordered.aurc(), (1 / 2 + 1 / 3 + 1 / 4 + 2 / 5) / 5)
    near(lowest_aurc(errors), (1 / 4 + 2 / 5) / 5)
    near(ordered.risk_at(0.8), 1 / 4)
    near(ordered.coverage_at(0.25), 4 / 5)
    near(ordered.coverage_at(0.2), 1 / 5)
    near(Ordered(scores, ~errors).coverage_at(0.2), 0.0)  # the most certain one is wrong


def test_log_odds():  # p = 3/4: log 3; where p rounds to 1 the order is still there
    near(log_odds(torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)), [math.log(3)])
    sure = log_odds(torch.tensor([[100.0, 0, 0], [101.0, 0, 0]]))
    assert sure[1] > sure[0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite(value):
    logits, targets = cases()["learned"]
    logits[3, 1] = value
    assert all(math.isnan(metric) for metric in selective_metrics(logits, targets).values())


def test_no_examples():
    actual = selective_metrics(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long))
    assert all(math.isnan(metric) for metric in actual.values())


def test_stacked():
    logits, targets = (torch.stack([cases()[name][i] for name in ("learned", "tied", "random")]) for i in (0, 1))
    together = torch.vmap(selective_metrics)(logits, targets)
    for i in range(3):
        for name, value in selective_metrics(logits[i], targets[i]).items():
            near(together[name][i], value)


def test_rejection_hand():
    # Scores 2, 1, 1/2 accept a right, a wrong and a right answer; -1 rejects a right one. Cost 1/4: (1 + 1/4) / 4.
    # Thresholds: coverage 1/4 without error, 2/4 with 1/2, 3/4 with 1/3, 4/4 with 1/4, which is allowed.
    # The classifier is surest of the wrong one: thresholds have errors 1, 1/2, 1/3, 1/4, at coverage 4/4.
    scores, right = torch.tensor([2.0, 1, 0.5, -1]), torch.tensor([True, False, True, True])
    logits = torch.tensor([[1.0, 0], [9, 0], [2, 0], [3, 0]])
    actual = rejection_metrics(scores, right, logits, cost=0.25)
    near(actual["rejection_loss"], 1.25 / 4)
    near(actual["coverage"], 3 / 4)
    near(actual["accepted_error"], 1 / 3)
    near(actual["aurc"], (0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    near(actual["coverage_at_cost"], 1.0)
    near(actual["confidence_coverage_at_cost"], 1.0)
    stricter = rejection_metrics(scores, right, logits, cost=0.2)
    near(stricter["coverage_at_cost"], 1 / 4)
    near(stricter["confidence_coverage_at_cost"], 0.0)


def test_rejection_limits():  # nothing accepted: the cost of all; a score of 0 rejects
    right = torch.tensor([True, False])
    actual = rejection_metrics(torch.zeros(2), right, torch.eye(2), cost=0.3)
    near(actual["rejection_loss"], 0.3)
    near(actual["accepted_error"], math.nan)
    broken = rejection_metrics(torch.tensor([math.nan, 1]), right, torch.eye(2), cost=0.3)
    assert all(math.isnan(value) for value in broken.values())
