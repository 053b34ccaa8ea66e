"""Scores of examples by hand and by scikit-learn; that a run starts from its base."""

import math

import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.cli import main
from lossbench.composing import overrides
from lossbench.datasets.addition import addition
from lossbench.datasets.shakespeare_plays import shakespeare_plays
from lossbench.models.gpt import gpt
from lossbench.results.collect import records
from lossbench.tasks.fine_tuning import FineTuning, _scores

CPU = torch.device("cpu")
SMALL = {"model.depth": 1, "model.width": 16, "model.heads": 2, "batch_size": 16}


def made(dataset, seed=0):
    torch.manual_seed(seed)
    return gpt(input_shape=dataset.input_shape, num_outputs=dataset.num_outputs, depth=1, width=16, heads=2)


def test_log_likelihood_of_the_base():
    dataset = addition(generator=torch.Generator().manual_seed(0), num_examples=100, digits=2)
    for softcap in (None, 2.0):
        task = FineTuning(dataset, CPU, base=made(dataset), softcap=softcap)
        x, targets = dataset.train.inputs[:4], dataset.train.labels["targets"][:4]
        found, logits = task.base_target_log_p(x, targets), made(dataset)(x)
        logits = logits if softcap is None else softcap * (logits / softcap).tanh()
        for i in range(4):
            for t in range(x.shape[1]):
                torch.testing.assert_close(found[i, t], logits[i, t].log_softmax(-1)[targets[i, t]])
        assert not found.requires_grad


def test_scores():  # sums over what counts: of two examples of three tokens
    own = torch.tensor([[-1.0, -2.0, -9.0], [-3.0, -1.0, -1.0]])
    base = torch.tensor([[-2.0, -2.0, -1.0], [-1.0, -1.0, -1.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = _scores({"target_log_p": own, "base_target_log_p": base, "mask": mask})
    assert found["ratio"].tolist() == [-1.0, 2.0]  # the likelihood of the first was raised, of the second lowered
    assert found["likelihood"].tolist() == [3.0, 5.0] and found["base"].tolist() == [4.0, 3.0]


@pytest.mark.parametrize("score", ["ratio", "likelihood", "base"])
def test_metrics(score):  # scikit-learn; the chosen score has its metrics without its name too
    dataset = shakespeare_plays(generator=torch.Generator(), plays=["macbeth"], outliers=["tempest"])
    task = FineTuning(dataset, CPU, base=made(dataset), score=score)
    draw = torch.Generator().manual_seed(0)
    splits = {
        name: {
            "target_log_p": -torch.rand(n, 5, generator=draw),
            "base_target_log_p": -torch.rand(n, 5, generator=draw),
            "mask": torch.ones(n, 5, dtype=torch.bool),
        }
        for name, n in (("test", 30), ("outliers", 20))
    }
    found = task.test_metrics(splits)
    values = [_scores(splits[name])[score] for name in ("test", "outliers")]
    expected = sklearn.roc_auc_score([0] * 30 + [1] * 20, torch.cat(values))
    assert math.isclose(found["outlier_auroc"], expected) and found["outlier_auroc"] == found[f"outlier_{score}_auroc"]
    assert len(found) == 12 and task.test_metrics({"test": splits["test"]}) == {}


def test_starts_from_the_base(tmp_path):  # without a step that changes anything it is the base: no ratio, chance
    base = {
        "train": {
            "dataset": "shakespeare_plays",
            "dataset.plays": ["macbeth", "tempest"],
            "budget.steps": 20,
            "optimizer.lr": 0.01,
            **SMALL,
        }
    }
    chosen = {
        "dataset": "shakespeare_plays",
        "dataset.plays": ["macbeth"],
        "dataset.outliers": ["tempest"],
        "task": "fine_tuning",
        "task.base": base,
        "budget.steps": 1,
        "optimizer.lr": 1e-12,
        "outputs": str(tmp_path),
        **SMALL,
    }
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides(chosen)])
    assert not ended.value.code
    found = {record["choices"]["task"]: record for record in records(tmp_path)}
    tuned = found["fine_tuning"]["best"]
    assert tuned["validation/nll"] < 5  # of 256 bytes, log 256 = 5.5 before the 20 steps of the base
    assert math.isclose(tuned["test/outlier_likelihood_auroc"], tuned["test/outlier_base_auroc"], abs_tol=1e-3)
