"""Runs on bags: the loss sees the members of a bag, the metrics see single examples, and bags of one teach as usual."""

import pytest
import torch

from lossbench import run
from lossbench.errors import UsageError
from lossbench.losses.classification.dllp import dllp
from tests.engine import parts, prepared, trainer

BAGS = ("task=label_proportions", "variant=[random_bags]", "variant.random_bags.size=4", "loss=dllp", "batch_size=16")


def test_the_loss_is_that_of_the_members(tmp_path):
    made = trainer(tmp_path, *BAGS)
    batch = next(made.source.training())
    assert batch["x"].shape == (16, 4, 1, 8, 8) and batch["proportions"].shape == (16, 10)
    values = made._evaluate_objective(batch, 10)
    members = torch.stack([made.model(batch["x"][:, j]) for j in range(4)], 1)
    torch.testing.assert_close(values.loss, dllp(members, batch["proportions"]).mean())


def test_metrics_are_those_of_single_examples(tmp_path):
    made = trainer(tmp_path, *BAGS)
    (batch,) = made.source.evaluation("validation")
    found = made.measure("validation")["validation/accuracy"]
    made.model.eval()
    assert found == pytest.approx((made.model(batch["x"]).argmax(-1) == batch["targets"]).double().mean().item())


def test_the_counts_of_the_classes_are_known_from_the_bags(tmp_path):  # all 1,079 but three, whichever
    task = parts(tmp_path, *BAGS, "loss=easyllp")["objective"].task
    ordinary = parts(tmp_path)["objective"].task.class_counts()
    assert task.class_counts().sum() == 1076 and ordinary.sum() == 1079
    assert ((ordinary - task.class_counts()).round() >= 0).all()
    torch.testing.assert_close(task.class_prior(), task.class_counts() / 1076)


def test_bags_of_one_are_ordinary_learning(tmp_path):
    record = run.execute(prepared(tmp_path, *BAGS, "variant.random_bags.size=1", "budget.epochs=3"))
    assert record["best"]["test/accuracy"] > 0.8


def test_refused(tmp_path):
    with pytest.raises(UsageError, match="random_bags"):
        parts(tmp_path, "task=label_proportions", "loss=dllp")
    with pytest.raises(UsageError, match="targets"):
        parts(tmp_path, *BAGS, "loss=cross_entropy")
