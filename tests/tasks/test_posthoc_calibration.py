"""The calibrator's inputs and outputs, from their definitions."""

import json
import math

import pytest
import torch
from torch.nn.functional import log_softmax

from lossbench.cli import main
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.models.linear import linear
from lossbench.tasks.posthoc_calibration import PosthocCalibration
from tests.models.support import built, images


def task_of(classes=6, width=5, outputs=None):
    split = Split(torch.zeros(8, width), {"targets": torch.arange(8) % classes})
    dataset = Dataset(split, split, split, num_outputs=classes)
    classifier = built(lambda: linear(input_shape=(width,), num_outputs=outputs or classes))
    return PosthocCalibration(dataset, torch.device("cpu"), classifier=classifier), classifier, dataset


def test_features():  # loops over the examples, the copies and the classes
    task, classifier, dataset = task_of()
    x = images(7, 5)
    features = task.features(lambda cues: cues, x, task.teacher_logits(x))
    for i in range(7):
        row = x[i].tolist()
        copies = [row[-1:] + row[:-1], row[1:] + row[:1], [0.8 * value for value in row]]
        scores = classifier(x[i : i + 1])[0].tolist()
        best = sorted(range(6), key=lambda c: -scores[c])[:4]
        expected = [classifier(torch.tensor([copy])).softmax(-1)[0, c].item() for copy in copies for c in best]
        torch.testing.assert_close(features[i], torch.tensor(expected))
    assert PosthocCalibration.shapes(dataset) == ((12,), 1)
    assert not features.requires_grad


def test_two_classes():  # no more cues than there are
    task, _, dataset = task_of(classes=2)
    x = images(3, 5)
    assert task.features(lambda cues: cues, x, task.teacher_logits(x)).shape == (3, 6)
    assert PosthocCalibration.shapes(dataset) == ((6,), 1)


def test_temperature():  # o = 0 leaves the logits; any o divides them by log(1 + e^o (e - 1)) > 0
    task, _, _ = task_of()
    logits = images(3, 6)
    outputs = torch.tensor([[0.0], [2.0], [-30.0]])
    calibrated = task.logits(lambda features: features, outputs, logits)
    torch.testing.assert_close(calibrated[0], logits[0])
    torch.testing.assert_close(calibrated[1], logits[1] / math.log(1 + math.exp(2) * (math.e - 1)))
    assert torch.equal(calibrated.argmax(-1), logits.argmax(-1))


def test_other_classifier():
    with pytest.raises(UsageError, match=r"task\.classifier has 4 outputs.*6 classes"):
        task_of(outputs=4)


def test_run(tmp_path, monkeypatch):  # the accuracy stays the classifier's, and one temperature finds scipy's
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main([
            "train", "task=posthoc_calibration", "variant=[calibration_split,shifted_test]", "model=constant_outputs",
            "+task.classifier.train={variant: [calibration_split], variant.calibration_split.part: model, "
            "budget.epochs: 8}", "optimizer.lr=0.05", "optimizer.weight_decay=0", "budget.epochs=80", "device=cpu",
        ])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    of = {record["choices"]["task"]: record["best"] for record in records}
    calibrated, classifier = of["posthoc_calibration"], of["classification"]
    assert calibrated["test/accuracy"] == classifier["test/accuracy"] < 1
    assert calibrated["test/nll"] < classifier["test/nll"]
    assert {"test/shifted/ece", "test/shifted/temperature_scaled_ece"} <= calibrated.keys()
    # What one temperature has learned cannot be improved on by another one, up to the noise between the splits.
    assert abs(math.log(calibrated["test/temperature"])) < 0.3 < abs(math.log(classifier["test/temperature"]))


def test_log_softmax_is_that_of_the_scaled_logits():
    task, _, _ = task_of()
    x = images(4, 5)
    teacher = task.teacher_logits(x)
    calibrated = task.logits(lambda features: torch.full((4, 1), 1.5), x, teacher)
    temperature = math.log1p(math.exp(1.5 + math.log(math.e - 1)))
    torch.testing.assert_close(log_softmax(calibrated, -1), log_softmax(teacher / temperature, -1))
