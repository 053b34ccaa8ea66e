"""Streams whose sets are controlled: the validation split is the past, and decay reaches the weights."""

import pytest
import torch

from lossbench import run
from lossbench.metrics.risk_control import risk_control_metrics
from lossbench.tasks.risk_control import RiskControl
from tests.engine import parts, prepared

STREAM = ("dataset=change_points", "task=risk_control", "model=linear", "optimizer.lr=0.01", "dataset.num_examples=400")


def test_validation_is_the_past(tmp_path):
    task = parts(tmp_path, *STREAM, "task.decay=0.9", "task.target_risk=0.3")["objective"].task
    assert isinstance(task, RiskControl)
    draw = torch.Generator().manual_seed(0)
    splits = {
        name: {
            "logits": torch.randn(30, 10, generator=draw),
            "labels": (torch.rand(30, 10, generator=draw) < 0.3).float(),
        }
        for name in ("validation", "test")
    }
    stream = [splits[name][word] for name in ("validation", "test") for word in ("logits", "labels")]
    found = task.test_metrics(splits)
    expected = risk_control_metrics(*stream, target_risk=0.3, decay=0.9)
    assert all(found[name] == value for name, value in expected.items())
    assert len(found) > len(expected)  # those of multilabel too


def test_run(tmp_path):  # without changes the risk is controlled, whatever the decay
    for decay in (1.0, 0.99):
        record = run.execute(
            prepared(tmp_path, *STREAM, "dataset.changes=false", f"task.decay={decay}", "budget.epochs=5")
        )
        assert record["best"]["test/controlled_risk"] == pytest.approx(0.2, abs=0.05)
