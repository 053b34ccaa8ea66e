import math

import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.metrics import ranking
from lossbench.metrics.collect import to_floats
from lossbench.metrics.multilabel import multilabel_metrics, ranking_per_label
from tests.metrics.support import near, random, reference

NAMES = [
    "subset_accuracy",
    "hamming_accuracy",
    "micro_f1",
    "macro_f1",
    "mean_average_precision",
    "auroc",
    "nll",
    "brier",
    "coverage_error",
    "label_ranking_loss",
]


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    logits = random(150, 6)
    labels = (random(150, 6, seed=1) > 0.4).float()
    rare = (random(150, 6, seed=2) > torch.tensor([-1.0, 0, 1, 2, 2.3, 9])).float()  # the last label never occurs
    learned = logits + 2 * labels - 1
    return {
        "random": (logits, labels),
        "learned": (learned, labels),
        "imbalanced, missing label": (logits + 2 * rare - 1, rare),
        "label always there": (learned, labels.index_fill(1, torch.tensor(2), 1.0)),
        "label neither there nor predicted": (logits.index_fill(1, torch.tensor(5), -3.0), rare),
        "tied": ((2 * learned).round(), labels),
        "all zero": (torch.zeros(150, 6), labels),
        "no labels": (logits, torch.zeros(150, 6)),
        "all labels": (logits, torch.ones(150, 6)),
        "single example": (learned[:1], labels[:1]),
        "single label": (learned[:, :1], labels[:, :1]),
        "perfectly right": (9 * (2 * labels - 1), labels),
        "perfectly wrong": (-9 * (2 * labels - 1), labels),
        "bfloat16": (learned.bfloat16(), labels),
    }


@pytest.mark.parametrize("case", cases())
def test_oracle(case):
    logits, labels = cases()[case]
    actual = multilabel_metrics(logits, labels)
    assert list(actual) == NAMES
    assert all(value.shape == () for value in actual.values())
    logits = logits.double()
    count, num_labels = labels.shape
    truth, predicted, p = labels.int(), (logits > 0).int(), logits.sigmoid()
    occurring = [c for c in range(num_labels) if truth[:, c].any()]
    both = [c for c in occurring if not truth[:, c].all()]
    precisions = [reference(sklearn.average_precision_score, truth[:, c], logits[:, c]) for c in occurring]
    areas = [reference(sklearn.roc_auc_score, truth[:, c], logits[:, c]) for c in both]
    if num_labels == 1:  # scikit-learn takes a single column for one label of one class
        f1 = {name: reference(sklearn.f1_score, truth[:, 0], predicted[:, 0]) for name in ("micro", "macro")}
    else:
        f1 = {
            name: reference(sklearn.f1_score, truth, predicted, average=name, zero_division=0)
            for name in ("micro", "macro")
        }
        near(actual["coverage_error"], reference(sklearn.coverage_error, truth, logits))
        near(actual["label_ranking_loss"], reference(sklearn.label_ranking_loss, truth, logits))
        near(actual["subset_accuracy"], reference(sklearn.accuracy_score, truth, predicted))
        near(actual["hamming_accuracy"], 1 - reference(sklearn.hamming_loss, truth, predicted))
    expected = {
        "micro_f1": f1["micro"],
        "macro_f1": f1["macro"],
        "mean_average_precision": sum(precisions) / len(precisions) if precisions else math.nan,
        "auroc": sum(areas) / len(areas) if areas else math.nan,
        "nll": float(torch.where(truth == 1, -p.log(), -(1 - p).log()).mean()),
        "brier": float(((p - labels) ** 2).sum() / (count * num_labels)),
    }
    for name, value in expected.items():
        near(actual[name], value, 1e-10)


def test_hand():
    # Three examples, two labels. Label 0: scores 3 2 -1, positives 1 0 1. Label 1: scores 1 -2 1, positives 0 0 1.
    # Predicted: 11, 10, 01; true: 10, 00, 11. No example is wholly right; indicators right: 1 + 1 + 1 of 6.
    # Label 0: hits 1, occurs 2, predicted 2: F1 1/2. Label 1: hits 1, occurs 1, predicted 2: F1 2/3. Micro 4/7.
    # Average precision: label 0: (1 + 2/3) / 2 = 5/6; label 1: the positive ties with a negative: 1/2. Mean 2/3.
    # AUROC: label 0: pairs (3, 2) right, (-1, 2) wrong: 1/2. Label 1: pairs (1, 1) half, (1, -2) right: 3/4.
    # Coverage: 1, 0 (no positive), 2. Ranking loss: 3 > 1 right; the others have no pair: 0.
    logits = torch.tensor([[3.0, 1], [2, -2], [-1, 1]])
    labels = torch.tensor([[1.0, 0], [0, 0], [1, 1]])
    actual = multilabel_metrics(logits, labels)
    near(actual["subset_accuracy"], 0.0)
    near(actual["hamming_accuracy"], 3 / 6)
    near(actual["micro_f1"], 4 / 7)
    near(actual["macro_f1"], (1 / 2 + 2 / 3) / 2)
    near(actual["mean_average_precision"], 2 / 3)
    near(actual["auroc"], 5 / 8)
    near(actual["coverage_error"], 1.0)
    near(actual["label_ranking_loss"], 0.0)
    wrong = multilabel_metrics(torch.tensor([[0.5, 2, 0.5, 0]]), torch.tensor([[1.0, 0, 0, 1]]))
    # Positives 0.5 and 0, negatives 2 and 0.5: all four pairs wrong but none right (a tie is wrong).
    near(wrong["label_ranking_loss"], 1.0)
    near(wrong["coverage_error"], 4.0)


def test_uncertain_indicators():  # y = 3/4 at p = 1/2: log 2 and 1/16; it is a positive
    actual = multilabel_metrics(torch.zeros(1, 1), torch.full((1, 1), 0.75))
    near(actual["nll"], math.log(2))
    near(actual["brier"], 1 / 16)
    near(actual["mean_average_precision"], 1.0)


def test_chunks(monkeypatch):
    logits, labels = cases()["tied"]
    whole = ranking_per_label(logits, labels > 0.5)
    monkeypatch.setattr(ranking, "CHUNK", 600)
    assert len(ranking.column_slices(*logits.shape)) == 2
    for part, expected in zip(ranking_per_label(logits, labels > 0.5), whole, strict=True):
        near(part, expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("everywhere", [True, False])
def test_not_finite(value, everywhere):
    logits, labels = cases()["perfectly right"]
    logits[... if everywhere else (3, 2)] = value
    actual = to_floats(multilabel_metrics(logits, labels))
    assert list(actual) == NAMES
    assert all(math.isnan(value) for value in actual.values())
