import json

import pytest
import torch
from torch import nn

from lossbench import seeds
from lossbench.cli import main
from lossbench.composing import overrides
from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.results.collect import records
from lossbench.tasks.ensemble_member import EnsembleMember

CPU = torch.device("cpu")


def linear(seed, outputs=10):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


def data():
    return digits(generator=seeds.generator(0, "split"))


def test_the_mean_of_the_probabilities():
    task = EnsembleMember(data(), CPU, members=[linear(1), linear(2)])
    x = torch.randn(7, 1, 8, 8)
    frozen = task.frozen_logits(x)
    assert frozen.shape == (7, 2, 10) and not frozen.requires_grad
    own = linear(3)(x)
    expected = (linear(1)(x).softmax(-1) + linear(2)(x).softmax(-1) + own.softmax(-1)) / 3
    torch.testing.assert_close(task.ensemble_logits(own, frozen).exp(), expected)
    targets = torch.arange(7)
    found = task.metrics(task.ensemble_logits(own, frozen), own, targets)
    assert found["accuracy"] == (expected.argmax(-1) == targets).double().mean()
    assert found["member_accuracy"] == (own.argmax(-1) == targets).double().mean()


def test_spread_inputs():  # mean and deviation of each pixel, of the standardised images
    dataset = data()
    task = EnsembleMember(dataset, CPU, members=[linear(1)], spread=2.0)
    drawn = task.spread_x(torch.zeros(20000, 1, 8, 8), torch.Generator().manual_seed(0))
    standardised = (dataset.train.inputs - dataset.mean) / dataset.std
    assert (drawn.mean(0) - standardised.mean(0)).abs().max() < 0.1
    torch.testing.assert_close(drawn.std(0), 2 * standardised.std(0), rtol=0.05, atol=0)


def test_a_member_that_has_learnt_nothing_is_not_selected(
    tmp_path,
):  # beside a trained one, the ensemble is good at once
    members = [{"train": {"budget.epochs": 10}, "seed_offset": 1}]
    slow = {"budget.epochs": 5, "optimizer.lr": 1e-4}
    chosen = {"task": "ensemble_member", "task.members": members, "outputs": str(tmp_path), **slow}
    with pytest.raises(SystemExit):
        main(["train", *overrides(chosen)])
    own = next(record for record in records(tmp_path) if record["choices"]["task"] == "ensemble_member")
    rows = [json.loads(line) for line in (tmp_path / "runs" / own["folder"] / "metrics.jsonl").read_text().splitlines()]
    alone = [row["validation/member_accuracy"] for row in rows if "validation/member_accuracy" in row]
    assert own["best"]["validation/member_accuracy"] == max(alone) > min(alone)


def test_refused():
    with pytest.raises(UsageError, match=r"members\[1\].*10 outputs"):
        EnsembleMember(data(), CPU, members=[linear(1), linear(1, 9)])
    with pytest.raises(UsageError, match=r"members\[0\]"):
        EnsembleMember(data(), CPU, members=[nn.Linear(5, 10)])


def test_one_after_another(tmp_path):  # the third member has the second one beside it, which had the first
    def first(offset):
        return {"train": {"budget.steps": 5}, "seed_offset": offset}

    greedy = {"task": "ensemble_member", "regularizer": ["greedy_diversity"], "budget.steps": 5}
    second = {"train": {**greedy, "task.members": [first(1)]}, "seed_offset": 1}
    third = {**greedy, "task.members": [first(2), second], "variant": ["held_out_classes"], "outputs": str(tmp_path)}
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides(third)])
    assert not ended.value.code
    found = sorted(records(tmp_path), key=lambda record: record["seed"])
    assert [record["seed"] for record in found] == [0, 1, 2]
    assert [record["choices"]["task"] for record in found] == ["ensemble_member", "ensemble_member", "classification"]
    assert "test/outlier_entropy_auroc" in found[0]["best"]
    assert found[0]["best"]["train/greedy_diversity"] <= torch.tensor(2.0).log() + 1e-6
