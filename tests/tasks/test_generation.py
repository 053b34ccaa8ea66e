"""Greedy decoding against a loop that gives the model no token of the answer, and its metrics worked by hand."""

import pytest
import torch

from lossbench import building, run
from lossbench.tasks.generation import output_metrics
from tests.engine import prepared

OPTIONS = ["dataset=key_symbols", "dataset.num_examples=400", "dataset.length=6", "dataset.num_keys=3"]
OPTIONS += ["model.depth=1", "model.width=32", "batch_size=20", "optimizer.lr=0.01", "budget.epochs=8"]


def test_hand():  # against B A and its end: the set is right; the answer is right; C alone has nothing of it
    end = 9
    references = torch.tensor([[1, 0, 9, 9]] * 3)
    decoded = torch.tensor([[0, 1, 9, 3], [1, 0, 9, 0], [2, 9, 9, 9]])
    values = output_metrics(decoded, references, end, torch.tensor(0.0))
    assert values["output_accuracy"].item() == pytest.approx(1 / 3)
    assert values["output_set_accuracy"].item() == values["output_unigram_f1"].item() == pytest.approx(2 / 3)
    assert values["output_bigram_f1"].item() == pytest.approx(1 / 3)
    assert values["output_overlap"].item() == pytest.approx(1 / 2)
    assert all(v.isnan() for v in output_metrics(decoded, references, end, torch.tensor(torch.nan)).values())


def test_run(tmp_path):
    one = prepared(tmp_path, *OPTIONS, "loss=cross_entropy")
    best = run.execute(one)["best"]
    assert best["test/output_overlap"] > 0.6
    model, dataset = building.load_model(one.folder).eval(), building.load_dataset(one.config)
    end = dataset.class_names.index(".")
    right = 0
    with torch.no_grad():
        for x, targets in zip(dataset.test.inputs, dataset.test.labels["targets"], strict=True):
            given, answer = x[:7].tolist(), targets[6:].tolist()
            for place in range(6, 10):
                given.append(int(model(torch.tensor([given + [0] * (10 - len(given))]))[0, place].argmax()))
            stop = answer.index(end) + 1
            right += given[7:][:stop] == answer[:stop]
    assert best["test/output_accuracy"] == pytest.approx(right / len(dataset.test))
