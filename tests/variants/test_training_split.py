import pytest
import torch

from lossbench import run
from lossbench.variants.training_split import training_split
from tests.engine import parts, prepared
from tests.variants.support import classification, generator


def test_is_the_training_split():
    dataset = classification([5, 3])
    made = training_split(dataset, generator())
    assert made.extra["training"] is dataset.train is made.train
    assert made.test is dataset.test and dataset.extra == {}


def test_its_metrics(tmp_path):
    overrides = ("variant=[training_split]", "budget.steps=3", "model=linear")
    made = prepared(tmp_path, *overrides)
    record = run.execute(made)
    model = run.load_model(made.folder).eval()
    source = parts(tmp_path / "other", *overrides)["source"]
    correct = []
    for batch in source.evaluation("training"):
        with torch.no_grad():
            correct += (model(batch["x"]).argmax(-1) == batch["targets"]).tolist()
    assert record["best"]["test/training/accuracy"] == pytest.approx(sum(correct) / len(correct), abs=1e-6)
