import math
from fractions import Fraction

import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.metrics import ranking
from lossbench.metrics.classification import auroc, classification_metrics, ece, ece_equal_mass, top_k_accuracy
from lossbench.metrics.collect import to_floats
from tests.metrics.support import near, random, reference

NAMES = [
    "accuracy",
    "top5_accuracy",
    "nll",
    "brier",
    "ece",
    "ece_equal_mass",
    "macro_f1",
    "balanced_accuracy",
    "worst_class_accuracy",
    "auroc",
]


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    logits, targets = random(200, 7), torch.randint(7, (200,), generator=draw)
    learned = logits + 2 * torch.nn.functional.one_hot(targets, 7)
    imbalanced = torch.multinomial(torch.tensor([100.0, 30, 10, 3, 1, 1, 1]), 200, True, generator=draw)
    right = torch.nn.functional.one_hot(targets, 7).float()
    return {
        "random": (logits, targets),
        "learned": (learned, targets),
        "imbalanced": (logits + torch.nn.functional.one_hot(imbalanced, 7), imbalanced),
        "missing class": (learned, targets.clamp(max=4)),
        "class never predicted": (learned - 50 * (torch.arange(7) == 3), targets),
        "tied": ((learned * 2).round(), targets),
        "all equal": (torch.zeros(200, 7), targets),
        "single class": (learned, torch.full((200,), 2)),
        "single example": (logits[:1], targets[:1]),
        "fewer examples than bins": (learned[:9], targets[:9]),
        "perfectly right": (9 * right, targets),
        "perfectly wrong": (-9 * right, targets),
        "sure and wrong": (1e4 * right.roll(1, -1), targets),
        "two classes": (learned[:, :2], targets % 2),
        "five classes": (learned[:, :5], targets.clamp(max=4)),
        "bfloat16": (learned.bfloat16(), targets),
    }


@pytest.mark.parametrize("case", cases())
def test_oracle(case):  # scikit-learn on the float64 probabilities
    logits, targets = cases()[case]
    count, num_classes = logits.shape
    p = logits.double().softmax(-1)
    one_hot = torch.nn.functional.one_hot(targets, num_classes)
    predicted = torch.tensor([max(range(num_classes), key=row.__getitem__) for row in logits.tolist()])
    confidence, correct = p.amax(-1), predicted == targets
    actual = classification_metrics(logits, targets)
    assert list(actual) == [name for name in NAMES if num_classes > 5 or name != "top5_accuracy"]
    assert all(value.shape == () for value in actual.values())
    recalls = [float(correct[targets == c].double().mean()) for c in targets.unique()]
    both = [c for c in range(num_classes) if 0 < one_hot[:, c].sum() < count]
    expected = {
        "accuracy": reference(sklearn.accuracy_score, targets, predicted),
        "nll": float(torch.nn.functional.cross_entropy(logits.double(), targets)),
        "brier": sum(((p[i] - one_hot[i]) ** 2).sum().item() for i in range(count)) / count,
        "ece": slow_ece(confidence, correct),
        "ece_equal_mass": slow_ece_equal_mass(confidence, correct),
        "macro_f1": reference(sklearn.f1_score, targets, predicted, average="macro", zero_division=0),
        "balanced_accuracy": reference(sklearn.balanced_accuracy_score, targets, predicted),
        "worst_class_accuracy": min(recalls),
        "auroc": sum(reference(sklearn.roc_auc_score, one_hot[:, c], p[:, c]) for c in both) / len(both)
        if both
        else math.nan,
    }
    for name, value in expected.items():
        near(actual[name], value, 1e-10)


def slow_ece(confidence, correct):  # Guo et al. 2017: bin m holds ((m - 1) / 15, m / 15]
    total = 0.0
    for m in range(1, 16):
        members = [i for i, c in enumerate(confidence.tolist()) if (m - 1) / 15 < c <= m / 15]
        if members:
            accuracy = sum(correct[members].tolist()) / len(members)
            total += len(members) / len(confidence) * abs(accuracy - sum(confidence[members].tolist()) / len(members))
    return total


def slow_ece_equal_mass(confidence, correct):
    order = sorted(range(len(confidence)), key=lambda i: confidence[i].item())  # Python's sort is stable
    total = 0.0
    for m in range(15):
        members = [i for place, i in enumerate(order) if m <= Fraction(15 * place, len(order)) < m + 1]
        if members:
            accuracy = sum(correct[members].tolist()) / len(members)
            total += len(members) / len(confidence) * abs(accuracy - sum(confidence[members].tolist()) / len(members))
    return total


@pytest.mark.parametrize("case", ["random", "learned", "tied", "two classes"])
def test_auroc_as_a_whole(case):  # scikit-learn's own one-vs-rest mean
    logits, targets = cases()[case]
    p = logits.double().softmax(-1)
    options = {} if p.shape[-1] == 2 else {"multi_class": "ovr", "average": "macro"}
    expected = reference(sklearn.roc_auc_score, targets, p[:, 1] if p.shape[-1] == 2 else p, **options)
    near(auroc(p, targets), expected)
    near(classification_metrics(logits, targets)["auroc"], expected, 1e-10)


def test_auroc_in_chunks(monkeypatch):  # many examples times many classes are sorted in parts
    logits, targets = cases()["tied"]
    whole = auroc(logits, targets)
    monkeypatch.setattr(ranking, "CHUNK", 450)  # two of the seven columns at a time
    assert len(ranking.column_slices(*logits.shape)) == 4
    near(auroc(logits, targets), whole)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_oracle(k):
    logits, targets = random(300, 9), torch.arange(300) % 9
    near(top_k_accuracy(logits, targets, k=k), reference(sklearn.top_k_accuracy_score, targets, logits, k=k))
    tied = (2 * logits).round()
    order = [sorted(range(9), key=lambda c: -row[c])[:k] for row in tied.tolist()]  # stable: the lower class first
    expected = sum(y in row for y, row in zip(targets.tolist(), order, strict=True)) / 300
    near(top_k_accuracy(tied, targets, k=k), expected)
    if k == 1:
        near(classification_metrics(tied, targets)["accuracy"], expected)


def test_hand():
    # Probabilities (3/4, 1/4) three times and (1/4, 3/4) once, targets 0 0 1 1: predictions 0 0 0 1, one is wrong.
    # Brier: three right ones of 2/16 and a wrong one of 18/16, 24/16 / 4 = 3/8. All confidences 3/4 are in one bin:
    # ece = |3/4 - 3/4| = 0. Four examples in four bins of equal mass: (1/4 + 1/4 + 3/4 + 1/4) / 4 = 3/8.
    # F1 of class 0: 2*2/(2+3) = 4/5, of class 1: 2*1/(2+1) = 2/3. Class accuracies 1 and 1/2.
    # AUROC of class 1: scores 1/4 1/4 | 1/4 3/4: pairs 1/2 1/2 1 1, so 3/4; class 0 mirrors it.
    logits = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]]) * math.log(3)
    actual = classification_metrics(logits, torch.tensor([0, 0, 1, 1]))
    near(actual["accuracy"], 3 / 4)
    near(actual["nll"], (3 * math.log(4 / 3) + math.log(4)) / 4, 1e-6)
    near(actual["brier"], 3 / 8, 1e-6)
    near(actual["ece"], 0.0, 1e-6)
    near(actual["ece_equal_mass"], 3 / 8, 1e-6)
    near(actual["macro_f1"], (4 / 5 + 2 / 3) / 2)
    near(actual["balanced_accuracy"], 3 / 4)
    near(actual["worst_class_accuracy"], 1 / 2)
    near(actual["auroc"], 3 / 4)


def test_ece_hand():
    # Upper edges belong to their bin: 1/3 = 5/15 is in bin 5 with 0.3, and 0.34 in bin 6.
    # (|1 - 1/3 + 0 - 0.3| + |1 - 0.34|) / 3
    confidence, correct = torch.tensor([1 / 3, 0.3, 0.34]).double(), torch.tensor([True, False, True])
    confidence[0] = 1 / 3
    near(ece(confidence, correct), (abs(2 / 3 - 0.3) + 0.66) / 3, 1e-7)
    # Two bins of equal mass: {0.3, 1/3} and {0.34}: with 3 examples, places 0 and 1 are in bin 0.
    near(ece_equal_mass(confidence, correct, num_bins=2), (abs(2 / 3 - 0.3) + 0.66) / 3, 1e-7)
    # A tie across the edge is split by position: bins {right, right}, {wrong, wrong}, or the mixed order.
    tied = torch.full((4,), 0.5, dtype=torch.float64)
    near(ece_equal_mass(tied, torch.tensor([True, True, False, False]), num_bins=2), 0.5)
    near(ece_equal_mass(tied, torch.tensor([True, False, True, False]), num_bins=2), 0.0)


def test_calibrated_and_overconfident():  # the error tends to 0, and to the confidence minus the accuracy
    confidence = torch.rand(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    luck = torch.rand(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for metric in (ece, ece_equal_mass):
        assert metric(confidence, luck < confidence) < 0.01
        near(metric(confidence, luck < 0), confidence.mean())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["everywhere", "one logit", "one true logit"])
def test_not_finite(value, where):
    logits, targets = cases()["perfectly right"]
    match where:
        case "everywhere":
            logits[:] = value
        case "one logit":
            logits[5, (targets[5] + 1) % 7] = value
        case "one true logit":
            logits[5, targets[5]] = value
    actual = to_floats(classification_metrics(logits, targets))
    assert list(actual) == NAMES
    assert all(math.isnan(value) for value in actual.values())


def test_nan_target_logit_is_not_in_the_top():  # the small function by itself must not flatter either
    near(top_k_accuracy(torch.tensor([[math.nan, 1, 2]]), torch.tensor([0]), k=2), 0.0)
    near(top_k_accuracy(torch.full((1, 3), math.nan), torch.tensor([1]), k=1), 0.0)


def test_large_finite_logits():  # float32 scores whose differences overflow float32
    actual = classification_metrics(torch.tensor([[3e38, -3e38], [-3e38, 3e38]]), torch.tensor([0, 0]))
    near(actual["accuracy"], 0.5)
    near(actual["nll"], 3e38, 1e-6)
    near(actual["brier"], 1.0)


def test_no_examples():
    actual = to_floats(classification_metrics(torch.zeros(0, 7), torch.zeros(0, dtype=torch.long)))
    assert list(actual) == NAMES
    assert all(math.isnan(value) for value in actual.values())


def test_inputs_untouched():
    logits, targets = cases()["random"]
    before = logits.clone(), targets.clone()
    classification_metrics(logits, targets.int())
    assert torch.equal(logits, before[0]) and torch.equal(targets, before[1])
