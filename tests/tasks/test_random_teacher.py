"""A student of a network that was never trained: where it starts, what is judged, and a run."""

import json

import pytest
import torch

from lossbench.cli import main
from lossbench.errors import UsageError
from lossbench.models.mlp import mlp
from lossbench.tasks.random_teacher import between
from tests.models.support import built


def model(seed, width=400):
    return built(lambda: mlp(input_shape=(50,), num_outputs=3, widths=(width,)), seed)


def test_start():  # the ends, a value by hand, and the size of the weights in between
    first, second = model(0), model(1)
    for distance, expected in ((0.0, first), (1.0, second)):
        for own, other in zip(between(first, second, distance).parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(own, other)
    weights = [m.body[1].weight.detach() for m in (first, second, between(first, second, 0.25))]
    torch.testing.assert_close(weights[2], (0.75 * weights[0] + 0.25 * weights[1]) / (0.625**0.5))
    assert weights[2].std() == pytest.approx(weights[0].std().item(), rel=0.02)
    assert torch.equal(first.body[1].weight, model(0).body[1].weight)
    with pytest.raises(UsageError, match=r"task\.other is another model"):
        between(first, model(1, width=7), 0.5)


UNTRAINED = "train: {model: mlp, optimizer.lr: 0, budget.steps: 1, evaluation.steps: 1}"


def run(tmp_path, monkeypatch, *overrides):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main(["train", "task=random_teacher", "loss=distillation", "loss.alpha=1", "loss.temperature=1", "device=cpu",
              f"task.teacher={{{UNTRAINED}}}", f"task.other={{{UNTRAINED}, seed_offset: 1}}", *overrides])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    return next(record["best"] for record in records if record["choices"]["task"] == "random_teacher")


def test_student_that_is_the_teacher(tmp_path, monkeypatch):  # has no gradient, and stays what it is
    best = run(tmp_path, monkeypatch, "task.distance=0", "budget.epochs=1", "optimizer=sgd")
    assert best["test/teacher_divergence"] == pytest.approx(0, abs=1e-9) and best["test/teacher_agreement"] == 1
    assert best["test/linear_probe_accuracy"] == best["test/teacher_probe_accuracy"] > 0.8
    assert best["test/accuracy"] < 0.5  # no label was seen


def test_student_learns_the_teacher(tmp_path, monkeypatch):  # from far away
    start = run(tmp_path / "start", monkeypatch, "task.distance=1", "optimizer.lr=0", "budget.steps=1")
    best = run(tmp_path / "end", monkeypatch, "task.distance=1", "budget.epochs=10", "optimizer.lr=0.003")
    assert best["test/teacher_divergence"] < 0.1 * start["test/teacher_divergence"]
    assert best["test/linear_probe_accuracy"] > 0.8
