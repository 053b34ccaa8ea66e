"""The soup by hand and by loops over logits, its limits, and a run with models trained from the same weights."""

import itertools
import math

import pytest
import torch

from lossbench.cli import main
from lossbench.composing import overrides
from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.errors import UsageError
from lossbench.results.collect import records
from lossbench.tasks.preference import Preference
from lossbench.tasks.soup_reference import SoupReference
from tests.datasets.support import generator
from tests.tasks.test_preference import CPU, SMALL, log_p, table


def test_mean_of_weights():  # of tables of logits: log-probabilities are those of the mean of the logits
    dataset = bradley_terry(generator=generator(), **SMALL)
    models = [table(dataset, seed) for seed in (1, 2, 3)]
    before = [model.body.table.weight.detach().clone() for model in models]
    task = SoupReference(dataset, CPU, references=models, alpha=0.6)
    mean = table(dataset)
    mean.body.table.weight.data = 0.6 * before[0] + 0.2 * before[1] + 0.2 * before[2]
    for prompt, (i, y) in itertools.product(range(3), enumerate(itertools.product(range(3), repeat=2))):
        assert task._ref_logps[prompt, i].item() == pytest.approx(log_p(mean, [prompt], y))
    assert task.start is models[0]
    assert all(torch.equal(model.body.table.weight, own) for model, own in zip(models, before, strict=True))


def test_limits():  # alpha = 1, and models that are the same: the plain reference
    dataset = bradley_terry(generator=generator(), **SMALL)
    plain = Preference(dataset, CPU, reference=table(dataset, 1))._ref_logps
    for models, alpha in (([1, 2], 1.0), ([1, 1], 0.3), ([2, 1], 0.0)):
        soup = SoupReference(dataset, CPU, references=[table(dataset, s) for s in models], alpha=alpha)
        torch.testing.assert_close(soup._ref_logps, plain)


def test_optimum():  # soup exp(r / beta), where expected_reward has no gradient
    from lossbench.losses.preference.expected_reward import expected_reward

    dataset = bradley_terry(generator=generator(), num_symbols=3, completion_length=1)
    task = SoupReference(dataset, CPU, references=[table(dataset, 1), table(dataset, 2)])
    policy = table(dataset)
    policy.body.table.weight.data = task._ref_logps + dataset.truth.rewards / 0.7
    asked = torch.arange(3)

    def gradient():
        logps = task.policy_logps(policy, asked)
        terms = expected_reward(task.policy_rewards(logps, asked), task.policy_kl(logps, asked), beta=0.7)
        return torch.autograd.grad(sum(terms.values()).sum(), policy.body.table.weight)[0]

    assert gradient().abs().max() < 1e-9
    policy.body.table.weight.data += torch.tensor([0.1, 0.0, 0.0])
    assert gradient().abs().max() > 1e-3


def test_refuses_a_single_model():
    dataset = bradley_terry(generator=generator(), **SMALL)
    with pytest.raises(UsageError, match="two models or more"):
        SoupReference(dataset, CPU, references=[table(dataset)])


def test_run(tmp_path):  # two models fine-tuned from one: the policy starts from the first, away from the soup
    alike = {"variant": ["completions"], "loss": "cross_entropy", "budget.epochs": 1}
    base = {"train": {"seed": 7, "task": "language_modeling", **alike}}
    tuned = {"task": "fine_tuning", "task.base": base, "optimizer.lr": 0.01, **alike}
    references = [{"train": tuned}, {"train": tuned, "seed_offset": 1}]
    settings = {"task": "soup_reference", "task.references": references, "dataset": "bradley_terry"}
    settings |= {"model.depth": 1, "model.width": 16, "model.heads": 2, "loss": "expected_reward", "loss.beta": 1.0}
    settings |= {"budget.steps": 1, "budget.epochs": None, "evaluation.epochs": None, "evaluation.steps": 1}
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides({**settings, "outputs": str(tmp_path), "optimizer.lr": 1e-12})])
    assert not ended.value.code
    made = records(tmp_path)
    assert sorted(r["choices"]["task"] for r in made) == [
        "fine_tuning", "fine_tuning", "language_modeling", "soup_reference"]  # fmt: skip
    best = next(r for r in made if r["choices"]["task"] == "soup_reference")["best"]
    assert 1e-6 < best["test/kl"] < 0.5 and math.isfinite(best["test/reward"])
