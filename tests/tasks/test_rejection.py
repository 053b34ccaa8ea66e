"""Rejectors of a frozen classifier: what they are told, and that they learn to tell its errors."""

import json

import pytest
import torch

from lossbench.cli import main
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.models.linear import linear
from lossbench.tasks.rejection import Rejection
from tests.models.support import built, images


def task_of(classes=5, outputs=5, **options):
    split = Split(torch.zeros(10, 4), {"targets": torch.arange(10) % classes})
    predictor = built(lambda: linear(input_shape=(4,), num_outputs=outputs))
    return Rejection(
        Dataset(split, split, split, num_outputs=classes), torch.device("cpu"), predictor=predictor, **options
    ), predictor


def test_words():  # loops over the examples
    task, predictor = task_of()
    x, targets = images(30, 4), torch.arange(30) % 5
    right = task.acceptable(task.teacher_logits(x), targets)
    for i in range(30):
        scores = predictor(x[i : i + 1])[0].tolist()
        assert bool(right[i]) == (scores.index(max(scores)) == targets[i])
    assert task.acceptance_scores(lambda features: features[:, :1], x).shape == (30,)
    assert Rejection.shapes(Dataset(*[Split(x, {"targets": targets})] * 3, num_outputs=5)) == ((4,), 1)


def test_cost_reaches_the_metrics():
    task, _ = task_of(cost=0.3)
    right = torch.tensor([True, False])
    assert task.metrics(-torch.ones(2), right, torch.eye(2))["rejection_loss"] == pytest.approx(0.3)


def test_other_predictor():
    with pytest.raises(UsageError, match=r"task\.predictor"):
        task_of(outputs=4)


def test_run(tmp_path, monkeypatch):  # better than to accept everything, and than to reject everything
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main([
            "train", "task=rejection", "loss=fixed_predictor_rejection", "loss.cost=0.2", "task.cost=0.2", "device=cpu",
            "variant=[calibration_split]", "variant.calibration_split.fraction=0.5", "budget.epochs=15",
            "task.predictor={train: {variant: [calibration_split], variant.calibration_split.part: model, "
            "variant.calibration_split.fraction: 0.5, budget.epochs: 2}}",
        ])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    of = {record["choices"]["task"]: record["best"] for record in records}
    error = 1 - of["classification"]["test/accuracy"]
    assert 0.05 < error < 0.6
    assert of["rejection"]["test/rejection_loss"] < min(error, 0.2)
    assert of["rejection"]["test/accepted_error"] < error
