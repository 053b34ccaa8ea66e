"""A model that begins as what two blocks make of it: a run of two stages."""

import json

import pytest
import torch

from lossbench.cli import main
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.models.mlp import mlp
from lossbench.tasks.learngene import Learngene

SIZES = {"model.patch_size": 4, "model.width": 16, "model.heads": 2}


def test_refused():
    split = Split(torch.zeros(4, 3), {"targets": torch.arange(4) % 2})
    with pytest.raises(UsageError, match=r"task\.learngene has no blocks"):
        Learngene(Dataset(split, split, split, num_outputs=2), torch.device("cpu"),
                  learngene=mlp(input_shape=(3,), num_outputs=2), depth=2)  # fmt: skip


def test_run(tmp_path, monkeypatch):  # without training, the second stage measures what the first has made
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    own = [f"{key}={value}" for key, value in SIZES.items()]
    train = ", ".join(f"{key}: {value}" for key, value in SIZES.items())
    with pytest.raises(SystemExit) as left:
        main(["train", "task=learngene", "model=vit", *own, "model.depth=3", "optimizer.lr=0", "budget.steps=1",
              "device=cpu", f"task.learngene={{train: {{model: expanded_vit, {train}, model.depth: 3, "
              "optimizer.lr: 0.003, budget.epochs: 8}}"])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    first, second = (
        next(record["best"]["test/accuracy"] for record in records if record["choices"]["model"] == name)
        for name in ("expanded_vit", "vit")
    )
    assert second == pytest.approx(first) and first > 0.5
