"""Runs that are judged on classes that they do not learn."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lossbench import building, run
from lossbench.errors import UsageError
from tests.engine import parts, prepared

TRANSFER = ("task=transfer_classification", "variant=[transfer_classes]", "budget.epochs=2", "model.widths=[16]")


def test_the_probe_is_that_of_scikit_learn_on_the_features_of_the_selected_weights(tmp_path):
    made = prepared(tmp_path, *TRANSFER)
    record = run.execute(made)
    model = building.load_model(made.folder).eval()
    assert model.head.out_features == 5
    source = parts(tmp_path / "other", *TRANSFER)["source"]
    found = {}
    for name in ("transfer_train", "transfer_test"):
        (batch,) = source.evaluation(name)
        with torch.no_grad():
            found[name] = model.body(batch["x"]).numpy(), batch["transfer_targets"].numpy()
    (h, y), (h_test, y_test) = found["transfer_train"], found["transfer_test"]
    mean, std = h.mean(0), h.std(0)
    std[std == 0] = 1
    # C is the inverse of the penalty on the summed loss: 1 / (1e-3 n)
    probe = LogisticRegression(C=1 / (1e-3 * len(h)), max_iter=2000).fit((h - mean) / std, y)
    expected = probe.score((h_test - mean) / std, y_test)
    assert abs(expected - probe.score((h - mean) / std, y)) > 0.01  # so that it shows which split is judged
    assert record["best"]["test/transfer_accuracy"] == pytest.approx(expected, abs=0.006)
    assert record["best"]["test/transfer_accuracy"] > 0.5
    assert "test/transfer_test/accuracy" not in record["best"]


def test_refused(tmp_path):
    with pytest.raises(UsageError, match="transfer_classes"):
        parts(tmp_path, TRANSFER[0])
