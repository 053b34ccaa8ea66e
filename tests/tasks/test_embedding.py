"""Embeddings without a classifier: runs, and metrics of the selected weights."""

import pytest
import torch

from lossbench import run
from lossbench.metrics.geometry import frame_metrics, nearest_mean_accuracy
from tests.engine import prepared
from tests.vectorized.support import (
    assert_stack_equals_singles,
    double,  # noqa: F401  (a fixture)
    variants,
)

EMBEDDING = ("task=embedding", "loss=supervised_contrastive", "head=rectified_projector")


def test_run(tmp_path):  # it learns; what is recorded is what the selected weights give
    one = prepared(tmp_path, *EMBEDDING, "budget.epochs=10")
    best = run.execute(one)["best"]
    data, model = run.load_dataset(one.config), run.load_model(one.folder)

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
    assert_stack_equals_singles(tmp_path, runs, 1e-6)
