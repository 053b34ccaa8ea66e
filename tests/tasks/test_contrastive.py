"""Contrastive runs: two views of the same examples, embeddings from the head, metrics that do not see the loss."""

import pytest
import torch

from lossbench import building, checkpoint, run
from lossbench.errors import UsageError
from lossbench.metrics.features import knn_accuracy, linear_probe_accuracy
from tests.engine import parts, prepared, trainer
from tests.vectorized.support import (
    assert_stack_equals_singles,
    double,  # noqa: F401  (a fixture)
    variants,
)

CONTRASTIVE = ("task=contrastive", "loss=nt_xent", "head=projector", "augmentation=[crop,gaussian_noise]",
               "augmentation.crop.padding=1")  # fmt: skip


def test_two_views(tmp_path):
    source = parts(tmp_path, *CONTRASTIVE)["source"]
    alone = parts(tmp_path, *CONTRASTIVE[3:])["source"]
    batches = source.training()
    for batch, other in zip([next(batches) for _ in range(3)], alone.training(), strict=False):
        assert torch.equal(batch["ids"], other["ids"]) and torch.equal(batch["targets"], other["targets"])
        assert torch.equal(batch["x"], other["x"])  # the first view is what a task with one view sees
        assert batch["second_x"].shape == batch["x"].shape and not torch.equal(batch["second_x"], batch["x"])
    assert source.names() == ("x", "second_x", "targets", "ids") and source.names("test") == ("x", "targets", "ids")
    next(batches)
    saved, expected = source.state_dict(), next(batches)
    again = parts(tmp_path, *CONTRASTIVE)["source"]
    again.load_state_dict(saved)
    resumed = next(again.training(4))
    assert torch.equal(resumed["x"], expected["x"]) and torch.equal(resumed["second_x"], expected["second_x"])


def test_the_loss_is_that_of_the_embeddings_of_both_views(tmp_path):
    made = trainer(tmp_path, *CONTRASTIVE)
    batch = next(made.source.training())
    values = made._evaluate_objective(batch, 10)
    u, v = (made.model.head(made.model.body(batch[name])) for name in ("x", "second_x"))
    assert u.shape == (128, 128)
    views = torch.nn.functional.normalize(torch.cat([u, v]))
    similarities = (views @ views.T / 0.5).fill_diagonal_(-torch.inf)
    expected = torch.nn.functional.cross_entropy(similarities, torch.arange(256).roll(128))
    torch.testing.assert_close(values.loss, expected)


def test_metrics(tmp_path):
    """Features beat those of untrained weights; what is recorded is what the selected weights give."""
    one = prepared(tmp_path, *CONTRASTIVE, "budget.epochs=10", "loss.tile=100")
    best = run.execute(one)["best"]
    data = building.load_dataset(one.config)

    def features(split):
        return body((split.inputs - data.mean) / data.std), split.labels["targets"]

    body = building.load_model(one.folder).body
    with torch.no_grad():
        known, test, validation = features(data.train), features(data.test), features(data.validation)
        assert best["validation/knn_accuracy"] == pytest.approx(knn_accuracy(*validation, 10).item(), abs=1e-9)
        assert best["test/knn_accuracy"] == pytest.approx(knn_accuracy(*test, 10).item(), abs=1e-9)
        assert best["test/train_knn_accuracy"] == pytest.approx(knn_accuracy(*test, 10, known).item(), abs=1e-9)
        probe = linear_probe_accuracy(*test, 10, known).item()
        assert best["test/linear_probe_accuracy"] == pytest.approx(probe, abs=1e-9)
    assert best["test/linear_probe_accuracy"] > 0.9
    assert checkpoint.read(one.folder / building.WEIGHTS)["num_outputs"] == 128


def test_what_has_no_two_views_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"augmentation=\[\]: this task compares two views"):
        parts(tmp_path, "task=contrastive", "loss=nt_xent")
    with pytest.raises(UsageError, match="label mixing does not go with a task that compares two views"):
        next(parts(tmp_path, "task=contrastive", "loss=nt_xent", "augmentation=[mixup]")["source"].training())
    with pytest.raises(UsageError, match="accumulation=2 does not go with loss=nt_xent"):
        parts(tmp_path, *CONTRASTIVE, "accumulation=2")


def test_stacked(double, tmp_path):  # noqa: F811
    runs = [
        each
        for loss in ("nt_xent", "info_nce", "info_nce loss.learn_temperature=true")
        for each in variants(tmp_path, (*CONTRASTIVE, *f"loss={loss}".split()), [{"seed": 0}, {"seed": 1}])
    ]
    assert_stack_equals_singles(tmp_path, runs, 1e-8)
