"""Runs on bags with one class each: attention is had apart from the features, and a regularizer moves it."""

import math

import pytest
import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.regularizers.attention_entropy import attention_entropy
from tests.engine import trainer

BAGS = ("dataset=digits_bags", "dataset.test_bags=40", "batch_size=20")


def test_the_objective_is_that_of_features_and_attention(tmp_path):
    made = trainer(tmp_path, *BAGS, "regularizer=[attention_entropy]", "regularizer.attention_entropy.weight=0.3")
    batch = next(made.source.training())
    values = made._evaluate_objective(batch, 10)
    given = made.model.body(batch["x"])
    assert given.shape == (20, 64 + 10)
    logits = given[:, :64] @ made.model.head.weight.T + made.model.head.bias
    expected = cross_entropy(logits, batch["targets"]) + attention_entropy(given[:, 64:], weight=0.3)
    torch.testing.assert_close(values.loss, expected.mean())


def test_features_are_without_the_scores(tmp_path):
    made = trainer(tmp_path, *BAGS, "regularizer=[feature_norm]")
    batch = next(made.source.training())
    found = made.objective.observer(("features", "attention_scores"))(made.network, batch)
    given = made.model.body(batch["x"])
    assert torch.equal(found["features"], given[:, :64]) and torch.equal(found["attention_scores"], given[:, 64:])


def test_entropy_is_measured(tmp_path):
    made = trainer(tmp_path, *BAGS)
    with torch.no_grad():
        made.model.body.score.weight.zero_()
    assert made.measure("validation")["validation/attention_entropy"] == pytest.approx(math.log(10), abs=1e-6)
