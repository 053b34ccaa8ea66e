"""Runs that replace an old model of fewer classes: both frozen models are made before, and seen by loss and metrics."""

import json

import pytest
import torch

from lossbench.cli import main
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.losses.classification.margin_preserving import margin_preserving
from lossbench.models.linear import linear
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.tasks.model_update import ModelUpdate
from tests.models.support import built, images


def task_of(old=3, independent=5, width=4):
    split = Split(torch.zeros(10, width), {"targets": torch.arange(10) % 5})
    dataset = Dataset(split, split, split, num_outputs=5)
    models = [
        None if n is None else built(lambda n=n: linear(input_shape=(width,), num_outputs=n))
        for n in (old, independent)
    ]
    return ModelUpdate(dataset, torch.device("cpu"), old=models[0], independent=models[1]), models


def test_loss_sees_both_models():
    task, (old, independent) = task_of()
    model, x, targets = built(lambda: linear(input_shape=(4,), num_outputs=5)), images(6, 4), torch.arange(6) % 5
    objective = Objective(margin_preserving, task, mean)
    value = objective(Network.of(model), {"x": x, "targets": targets, "ids": targets}, {}, {}).loss
    terms = margin_preserving(model(x), targets, old(x), independent(x))
    torch.testing.assert_close(value, sum(terms.values()).mean())
    assert all(p.grad is None and not p.requires_grad for p in old.parameters())


def test_refused():
    with pytest.raises(UsageError, match=r"task\.old has 7 outputs.*5 classes.*the first of"):
        task_of(old=7)
    with pytest.raises(UsageError, match=r"task\.independent has 3 outputs.*all of"):
        task_of(independent=3)
    with pytest.raises(UsageError, match=r"task\.independent is not given"):
        task_of(independent=None)[0].independent_logits(images(2, 4))


def test_run(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main([
            "train", "task=model_update", "loss=margin_preserving", "budget.epochs=6", "device=cpu",
            "task.old={train: {variant: [first_classes], variant.first_classes.number: 5, budget.epochs: 6}}",
            "task.independent={train: {budget.epochs: 5}}",
        ])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    assert sorted(record["choices"]["loss"] for record in records) == ["cross_entropy"] * 2 + ["margin_preserving"]
    best = next(record["best"] for record in records if record["choices"]["task"] == "model_update")
    old = next(record["best"] for record in records if record["choices"]["variant"] == ["first_classes"])
    assert 0 <= best["test/negative_flip_rate"] <= old["test/accuracy"]
    # Right before is right still, or flipped.
    assert best["test/old_classes_accuracy"] >= old["test/accuracy"] - best["test/negative_flip_rate"] - 1e-9
    assert old["test/accuracy"] > 0.8
