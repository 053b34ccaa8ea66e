"""Sub-networks of a model: what loss and metrics see of them, and a run."""

import json

import pytest
import torch

from lossbench.cli import main
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.losses.distillation.supernet_distillation import supernet_distillation
from lossbench.models.elastic_mlp import elastic_mlp
from lossbench.models.linear import linear
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.tasks.supernet import Supernet
from tests.models.support import built, images


def parts():
    split = Split(images(10, 4), {"targets": torch.arange(10) % 3})
    task = Supernet(Dataset(split, split, split, num_outputs=3), torch.device("cpu"), samples=2, smallest=0.25)
    batch = {"x": split.inputs, "targets": split.labels["targets"], "ids": torch.arange(10)}
    model = built(lambda: elastic_mlp(input_shape=(4,), num_outputs=3, widths=(8, 8)))
    return task, batch, model


def test_loss_sees_random_subnets_and_the_smallest():
    task, batch, model = parts()
    objective = Objective(supernet_distillation, task, mean)
    drawn = objective.draw(batch, {"sampled_shares": torch.Generator().manual_seed(0)})
    shares = drawn["sampled_shares"]
    assert shares.shape[0] == 2 and shares.min() >= 0.25 and shares.max() <= 1 and shares.unique().numel() > 10
    widths = [*shares[:, :2], torch.tensor([0.25, 0.25])]
    subnets = torch.stack([model.head(model.body((batch["x"], own))) for own in widths], 1)
    terms = supernet_distillation(model(batch["x"]), batch["targets"], subnets)
    value = objective(Network.of(model), drawn, {}, {}).loss
    torch.testing.assert_close(value, sum(terms.values()).mean())


def test_metrics_are_of_all_sizes():
    task, batch, model = parts()
    names = ("x", "targets", "ids")
    objective = Objective(supernet_distillation, task, mean)
    found = task.metrics(**objective.observer(objective.observable(names))(Network.of(model), batch))
    right = []
    for share in (0.25, 0.4375, 0.625, 0.8125, 1.0):
        logits = model.head(model.body((batch["x"], torch.full((2,), share))))
        right.append((logits.argmax(-1) == batch["targets"]).double().mean())
    torch.testing.assert_close(found["subnet_accuracy"], sum(right) / 5)
    torch.testing.assert_close(found["smallest_accuracy"], right[0])
    torch.testing.assert_close(found["accuracy"], right[-1])


def test_other_models_are_refused():
    task, batch, _ = parts()
    other = linear(input_shape=(4,), num_outputs=3)
    with pytest.raises(UsageError, match=r"model=elastic_mlp"):
        task.size_logits(other.body, other.head, batch["x"])


def test_run(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main(["train", "task=supernet", "model=elastic_mlp", "loss=supernet_distillation", "optimizer.lr=0.003",
              "budget.epochs=20", "evaluation.epochs=20", "device=cpu"])  # fmt: skip
    assert left.value.code == 0
    (record,) = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    best = record["best"]
    assert best["test/accuracy"] > 0.9 and best["test/subnet_accuracy"] > 0.85
    assert best["test/smallest_accuracy"] < best["test/accuracy"]
