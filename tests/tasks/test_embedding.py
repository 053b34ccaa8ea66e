"""Embeddings without a classifier: runs, and metrics of the selected weights."""

import pytest
import torch

from lossbench import building, run
from lossbench.errors import UsageError
from lossbench.losses.representation.batch_binding import batch_binding
from lossbench.metrics.geometry import frame_metrics, nearest_mean_accuracy
from tests.engine import prepared, trainer
from tests.vectorized.support import (
    assert_stack_equals_singles,
    double,  # noqa: F401  (a fixture)
    variants,
)

EMBEDDING = ("task=embedding", "loss=supervised_contrastive", "head=rectified_projector")


def test_run(tmp_path):  # it learns; what is recorded is what the selected weights give
    one = prepared(tmp_path, *EMBEDDING, "budget.epochs=10")
    best = run.execute(one)["best"]
    data, model = building.load_dataset(one.config), building.load_model(one.folder)

    def embedded(split):
        return model((split.inputs - data.mean) / data.std), split.labels["targets"]

    with torch.no_grad():
        train, test = embedded(data.train), embedded(data.test)
        assert train[0].shape[1] == 128 and (train[0] >= 0).all()
        expected = nearest_mean_accuracy(*test, 10, train).item()
        assert best["test/train_nearest_mean_accuracy"] == pytest.approx(expected, abs=1e-9)
        for name, value in frame_metrics(*train, 10).items():
            assert best[f"test/{name}"] == pytest.approx(value.item(), rel=1e-4, abs=1e-6)
    assert best["test/train_nearest_mean_accuracy"] > 0.9


def test_stacked(double, tmp_path):  # noqa: F811
    runs = variants(tmp_path, EMBEDDING, [{"seed": 0}, {"seed": 1}, {"loss.temperature": 0.2}])
    bound = (*EMBEDDING, "loss=batch_binding", "task.bound=1")
    assert_stack_equals_singles(tmp_path, runs, 1e-6)
    assert_stack_equals_singles(tmp_path, variants(tmp_path, bound, [{"seed": 0}, {"seed": 1}]), 1e-6)


def test_bound_examples(tmp_path):  # the first of each class, as the model sees them, in every step
    options = ("task=embedding", "loss=batch_binding", "head=projector", "task.bound=2")
    made = trainer(tmp_path, *options)
    data = building.load_dataset(prepared(tmp_path, *options).config)
    targets = data.train.labels["targets"].tolist()
    chosen = [i for c in range(10) for i in [j for j, y in enumerate(targets) if y == c][:2]]
    x = (data.train.inputs[chosen] - data.mean) / data.std
    task, model = made.objective.task, made.model
    torch.testing.assert_close(task.bound_embeddings(model.body, model.head, x), model.head(model.body(x)))
    assert task.bound_targets().tolist() == [c for c in range(10) for _ in range(2)]
    batch = next(made.source.training())
    own = model.head(model.body(batch["x"]))
    expected = batch_binding(own, batch["targets"], model.head(model.body(x)), task.bound_targets())
    torch.testing.assert_close(made._evaluate_objective(batch, 10).loss, expected)


def test_a_bound_loss_without_bound_examples_is_refused(tmp_path):
    made = trainer(tmp_path, "task=embedding", "loss=batch_binding", "head=projector")
    with pytest.raises(UsageError, match=r"task\.bound"):
        made._evaluate_objective(next(made.source.training()), 10)
