import pytest
import torch

from lossbench import building, run
from lossbench.variants.measured_training import measured_training
from tests.engine import prepared, trainer
from tests.variants.support import classification, generator


def test_a_further_split():
    dataset = classification([30, 20])
    made = measured_training(dataset, generator())
    assert made.extra["training"] is made.train is dataset.train
    assert made.validation is dataset.validation and made.test is dataset.test
    assert dataset.extra == {}


def test_run(tmp_path):  # the negative log-likelihood of the training examples, by hand from the kept weights
    one = prepared(tmp_path, "variant=[measured_training]", "budget.epochs=20", "batch_size=32")
    best = run.execute(one)["best"]
    model = building.load_model(one.folder)
    batch = trainer(tmp_path, "variant=[measured_training]").source._keep("train")
    expected = torch.nn.functional.cross_entropy(model(batch["x"]), batch["targets"]).item()
    assert best["test/training/nll"] == pytest.approx(expected, rel=1e-4)
    assert best["test/training/nll"] != pytest.approx(best["test/nll"], rel=5e-2)
