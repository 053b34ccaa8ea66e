"""The measures of a run are those of its training split, standardised, whatever its model."""

import pytest
import torch

from lossbench import run
from lossbench.errors import UsageError
from lossbench.metrics.multiplicity import multiplicity_metrics
from tests.engine import parts, prepared

TWO = ("dataset=two_gaussians", "dataset.dimensions=2", "dataset.num_examples=80", "task=multiplicity", "batch_size=16")


def test_run(tmp_path):
    overrides = (*TWO, "model=linear", "task.difference=0.05", "task.judged=30", "budget.epochs=1")
    record = run.execute(prepared(tmp_path, *overrides))
    source = parts(tmp_path, *overrides)["source"]
    data = source.splits["train"]
    x = (data.inputs - source.mean) / source.std
    expected = multiplicity_metrics(x, data.labels["targets"], tolerance=0.01, difference=0.05, ridge=1e-3, judged=30)
    for name, value in expected.items():
        assert record["best"][f"test/{name}"] == pytest.approx(value.item(), abs=1e-9)
    other = run.execute(prepared(tmp_path, *overrides, "model=mlp", "seed=3"))
    assert other["best"]["test/viable_range"] == pytest.approx(record["best"]["test/viable_range"], abs=1e-12)
    assert torch.isfinite(torch.tensor(list(record["best"].values())[-1]))


def test_more_classes(tmp_path):
    with pytest.raises(UsageError, match="two classes"):
        parts(tmp_path, "task=multiplicity")
