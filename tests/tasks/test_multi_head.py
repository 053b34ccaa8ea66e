"""Several heads on one body: what the task makes of them, and runs."""

import pytest
import torch

from lossbench import building, run
from lossbench.errors import UsageError
from tests.engine import parts, prepared, trainer
from tests.vectorized.support import (
    assert_stack_equals_singles,
    double,  # noqa: F401  (a fixture)
    variants,
)

MULTI_HEAD = ("task=multi_head", "head=members", "loss=rf_dlc", "head.kind=cosine", "variant=[long_tailed]",
              "variant.long_tailed.imbalance_factor=10")  # fmt: skip


@pytest.mark.parametrize("combine", ["probabilities", "logits"])
def test_the_combination(tmp_path, combine):  # of three members, by a loop
    made = trainer(tmp_path, *MULTI_HEAD, f"task.combine={combine}")
    collected = made.collect("validation")
    members = collected["member_logits"]
    assert members.shape == (len(made.source.splits["validation"]), 3, 10)
    for i in range(5):
        if combine == "logits":
            expected = sum(members[i, m] for m in range(3)) / 3
        else:
            expected = (sum(members[i, m].softmax(-1) for m in range(3)) / 3).log()
        torch.testing.assert_close(collected["logits"][i], expected, rtol=1e-5, atol=1e-5)
    targets = collected["targets"]
    accuracies = [(members[:, m].argmax(-1) == targets).double().mean() for m in range(3)]
    assert made.measure("validation")["validation/member_accuracy"] == pytest.approx(float(sum(accuracies) / 3))


def test_run(tmp_path):  # it learns, and its weights can be loaded again
    one = prepared(tmp_path, *MULTI_HEAD, "budget.epochs=20", "batch_size=32")
    record = run.execute(one)
    assert record["status"] == "completed" and record["best"]["test/accuracy"] > 0.7
    assert {"test/tail_accuracy", "test/false_head_rate", "test/member_accuracy"} <= record["best"].keys()
    assert building.load_model(one.folder)(torch.zeros(2, 1, 8, 8)).shape == (2, 3, 10)


def test_a_single_head_is_refused(tmp_path):
    with pytest.raises(UsageError, match="head=members"):
        next(iter([trainer(tmp_path, "task=multi_head").collect("validation")]))


def test_loss_on_one_head_is_refused(tmp_path):
    with pytest.raises(UsageError, match="member_logits"):
        parts(tmp_path, "loss=rf_dlc")


def test_stacked(double, tmp_path):  # noqa: F811
    runs = variants(tmp_path, MULTI_HEAD, [{"seed": 0}, {"seed": 1}, {"loss.utility_weight": 0.1}])
    assert_stack_equals_singles(tmp_path, runs, 1e-8)
