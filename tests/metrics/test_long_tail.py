"""The metrics of head, medium and tail classes, against values by hand and scikit-learn."""

import pytest
import torch
from sklearn.metrics import recall_score

from lossbench.metrics.long_tail import (
    class_ranks,
    false_head_rate,
    is_imbalanced,
    long_tail_metrics,
    long_tail_precisions,
    thirds,
)
from tests.metrics.support import near, random

COUNTS = torch.tensor([5.0, 50.0, 7.0, 400.0, 50.0, 3.0, 90.0])  # ranks 5, 2, 4, 0, 3, 6, 1


def test_order_of_the_classes():  # of the two with 50, the lower class comes first
    assert class_ranks(COUNTS).tolist() == [5, 2, 4, 0, 3, 6, 1]


@pytest.mark.parametrize(("classes", "sizes"), [(10, [3, 3, 4]), (100, [33, 33, 34]), (3, [1, 1, 1]), (2, [1, 0, 1])])
def test_thirds(classes, sizes):
    groups = thirds(torch.arange(classes))
    assert [int((groups == i).sum()) for i in range(3)] == sizes
    assert groups.tolist() == sorted(groups.tolist())


def test_when_a_training_set_is_imbalanced():
    assert is_imbalanced(torch.tensor([20.0, 10.0]))
    assert not is_imbalanced(torch.tensor([19.0, 10.0]))
    assert not is_imbalanced(torch.tensor([19.0]))


def test_accuracy_of_the_groups_is_the_mean_recall_of_their_classes():
    logits, targets = random(300, 7), torch.randint(7, (300,), generator=torch.Generator().manual_seed(1))
    found = long_tail_metrics(logits, targets, COUNTS)
    for name, classes in (("head", [3, 6]), ("medium", [1, 4]), ("tail", [0, 2, 5])):
        expected = recall_score(targets, logits.argmax(-1), labels=classes, average="macro")
        near(found[f"{name}_accuracy"], expected)


def test_false_head_rate_by_a_loop():  # of ranks, at 0.25, 0.5 and 0.75 of 7 classes: 2, 4 and 5 classes are head
    logits, targets = random(300, 7), torch.randint(7, (300,), generator=torch.Generator().manual_seed(1))
    rank = {3: 0, 6: 1, 1: 2, 4: 3, 2: 4, 0: 5, 5: 6}
    rates = []
    for border in (2, 4, 5):
        pairs = [(rank[int(y)], rank[int(p)]) for y, p in zip(targets, logits.argmax(-1), strict=True)]
        tail = [p for y, p in pairs if y >= border]
        rates.append(sum(p < border for p in tail) / len(tail))
    near(long_tail_metrics(logits, targets, COUNTS)["false_head_rate"], sum(rates) / 3)


def test_false_head_rate_by_hand():  # 4 classes, borders 1, 2, 3: 2 of 3, 1 of 2, 1 of 1 of the tail go to the head
    near(false_head_rate(torch.tensor([3, 0, 0, 2]), torch.tensor([0, 1, 2, 3]), 4), (2 / 3 + 1 / 2 + 1 / 1) / 3)


def test_a_border_without_examples_is_left_out():  # only class 1 of 4 occurs: the borders 2 and 3 have no tail
    near(false_head_rate(torch.tensor([0, 1]), torch.tensor([1, 1]), 4), 1 / 2)


def test_undefined():
    logits, targets = random(20, 7), torch.full((20,), 3)
    found = long_tail_metrics(logits, targets, COUNTS)
    assert found["tail_accuracy"].isnan() and found["head_accuracy"].isfinite()
    logits[0, 0] = torch.nan
    assert all(value.isnan() for value in long_tail_metrics(logits, targets, COUNTS).values())
    assert "medium_accuracy" not in long_tail_metrics(random(9, 2), torch.arange(9) % 2, torch.tensor([9.0, 2.0]))


def test_precisions_of_the_thirds_of_the_labels():  # by hand; label 2 has no positives
    nan = float("nan")
    found = long_tail_precisions(torch.tensor([0.1, 0.2, nan, 0.4, 0.5, 0.6, 0.7]), COUNTS)
    near(found["head_average_precision"], (0.4 + 0.7) / 2, 1e-6)
    near(found["medium_average_precision"], (0.2 + 0.5) / 2, 1e-6)
    near(found["tail_average_precision"], (0.1 + 0.6) / 2, 1e-6)
