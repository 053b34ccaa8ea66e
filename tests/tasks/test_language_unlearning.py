"""Unlearning of sequences: what losses see of them, against loops; the forgetting of some entities, in a run."""

import json
import math
from functools import partial

import pytest
import torch

from lossbench.cli import main
from lossbench.datasets.facts import facts
from lossbench.errors import UsageError
from lossbench.losses.unlearning.datamodel_matching import datamodel_matching
from lossbench.losses.unlearning.npo import npo
from lossbench.models.gpt import gpt
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.regularizers.retain_cross_entropy import retain_cross_entropy
from lossbench.regularizers.retain_divergence import retain_divergence
from lossbench.tasks.language_unlearning import LanguageUnlearning
from lossbench.variants.forget_set import forget_set
from tests.models.support import built

CPU = torch.device("cpu")


def data():
    whole = facts(generator=torch.Generator().manual_seed(0), num_entities=4, num_relations=2, num_values=3)
    return forget_set(whole, torch.Generator().manual_seed(0), groups=[1], fraction=1.0)


def model(seed=0, tokens=12, length=5):
    made = built(lambda: gpt(input_shape=(length,), num_outputs=tokens, depth=1, width=8, heads=1), seed)
    with torch.no_grad():
        made.head.weight.mul_(10)  # far from even
    return made


def batch_of(split):
    return {"x": split.inputs, **split.labels, "ids": torch.arange(len(split))}


def test_losses_are_of_sequences():  # in one batch of all, sequence by sequence, token by token
    dataset = data()
    base, current, batch = model(0), model(1), batch_of(dataset.train)
    task = LanguageUnlearning(dataset, CPU, base=base, softcap=4.0)
    logits = [4 * (m(batch["x"]) / 4).tanh().detach().double() for m in (current, base)]
    (log_p, log_ref) = (z.log_softmax(-1) for z in logits)
    negative, retain, kept = [], [], []
    for i, forgotten in enumerate(batch["forgotten"].tolist()):
        places = batch["mask"][i].nonzero().flatten().tolist()
        own, ref = (sum(lp[i, t, batch["targets"][i, t]].item() for t in places) for lp in (log_p, log_ref))
        divergence = sum((log_ref[i, t].exp() * (log_ref[i, t] - log_p[i, t])).sum().item() for t in places)
        negative += [2 / 0.5 * math.log(1 + math.exp(0.5 * (own - ref)))] * forgotten
        retain += [-own] * (not forgotten)
        kept += [divergence] * (not forgotten)
    assert (len(negative), len(retain)) == (6, 18)

    def value(*regularizers):
        objective = Objective(partial(npo, beta=0.5), task, mean, regularizers, tuple(batch))
        return objective(Network.of(current), batch, {}, {}).loss.item()

    first = sum(negative) / 6
    assert value() == pytest.approx(first, rel=1e-4)
    assert value(retain_cross_entropy) == pytest.approx(first + sum(retain) / 18, rel=1e-4)
    assert value(retain_divergence) == pytest.approx(first + sum(kept) / 18, rel=1e-4)


def test_retrained_models():  # the mean of their probabilities, and the likelihood of each sequence under each of them
    dataset, models = data(), [model(3), model(4)]
    batch, current = batch_of(dataset.test), model(1)
    task = LanguageUnlearning(dataset, CPU, base=model(0), retrained=models)
    objective = Objective(npo, task, mean, (), tuple(batch_of(dataset.train)))
    names = objective.observable(tuple(batch))
    observed = objective.observer(names, tuple(batch))(Network.of(current), batch)
    q = sum(m(batch["x"]).softmax(-1) for m in models) / 2
    p = current(batch["x"]).softmax(-1)
    kl = torch.distributions.kl_divergence(*(torch.distributions.Categorical(probs=each) for each in (q, p)))
    found = task.metrics(**observed)["retrained_divergence"]
    torch.testing.assert_close(found.float(), kl[batch["mask"]].mean(), rtol=1e-4, atol=1e-5)
    chosen = models[1](batch["x"]).log_softmax(-1).gather(-1, batch["targets"].unsqueeze(-1)).squeeze(-1)
    expected = torch.where(batch["mask"], chosen, 0).sum(-1)
    torch.testing.assert_close(observed["retrained_logps"][:, 1], expected, rtol=1e-4, atol=1e-5)


def test_refused():
    with pytest.raises(UsageError, match=r"task\.base has 20 outputs"):
        LanguageUnlearning(data(), CPU, base=model(tokens=20))
    with pytest.raises(UsageError, match=r"task\.base cannot read"):  # tokens that it does not know
        LanguageUnlearning(data(), CPU, base=model(tokens=7))
    task = LanguageUnlearning(data(), CPU, base=model())
    with pytest.raises(UsageError, match="attributed_logits"):
        Objective(datamodel_matching, task, mean)


SMALL = ["dataset=facts", "dataset.num_entities=10", "dataset.num_relations=3", "model.depth=2", "model.width=32",
         "model.heads=2", "batch_size=15", "device=cpu"]  # fmt: skip
LEARNED = "loss: cross_entropy, task: language_modeling, dataset: facts, dataset.num_entities: 10, dataset.num_relations: 3, model.depth: 2, model.width: 32, model.heads: 2, optimizer.lr: 0.003, budget.epochs: 120, evaluation.epochs: 120"  # noqa: E501  # fmt: skip


def run(tmp_path, monkeypatch, *overrides):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main(["train", *SMALL, "task=language_unlearning", "variant=[forget_set]", "variant.forget_set.groups=[2,5]",
              "variant.forget_set.fraction=1", f"task.base={{train: {{variant: [], {LEARNED}}}}}",
              *overrides])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    return next(record["best"] for record in records if record["choices"]["task"] == "language_unlearning")


def test_forgetting_entities(tmp_path, monkeypatch):  # in the forms that were trained on; the others are still known
    before = run(tmp_path, monkeypatch, "loss=gradient_ascent", "optimizer.lr=0", "budget.steps=1")
    for record in tmp_path.glob("runs/facts/gpt/gradient_ascent/*/record.json"):
        record.rename(record.with_suffix(".before"))
    after = run(tmp_path, monkeypatch, "loss=npo", "regularizer=[retain_cross_entropy]", "optimizer.lr=0.001",
                "budget.epochs=10", "evaluation.epochs=10")  # fmt: skip
    assert before["test/forget/accuracy"] > 0.95 and before["test/retain/accuracy"] > 0.95
    assert after["test/forget/accuracy"] < 0.4 and after["test/retain/accuracy"] > 0.95
    assert after["test/membership_auroc"] < before["test/membership_auroc"]
