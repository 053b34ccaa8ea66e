"""Unlearning: the weights of both kinds, what losses see of base and retrained models, the combinations, and runs."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from lossbench.cli import main
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.losses.unlearning.datamodel_matching import datamodel_matching
from lossbench.losses.unlearning.gradient_ascent import gradient_ascent
from lossbench.losses.unlearning.npo import npo
from lossbench.models.linear import linear
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.regularizers.retain_cross_entropy import retain_cross_entropy
from lossbench.regularizers.retain_divergence import retain_divergence
from lossbench.tasks.unlearning import Unlearning
from lossbench.variants.forget_set import forget_set
from tests.models.support import built, images

CPU = torch.device("cpu")


def model(seed=0, width=4, outputs=3):
    return built(lambda: linear(input_shape=(width,), num_outputs=outputs), seed)


def data(**hyperparameters):
    split = Split(10 + 3 * images(40, 4), {"targets": torch.arange(40) % 3})
    whole = Dataset(split, split, split, num_outputs=3, mean=torch.tensor(10.0), std=torch.tensor(3.0))
    return forget_set(whole, torch.Generator().manual_seed(0), **{"fraction": 0.25, **hyperparameters})


def training_batch(dataset):
    x = (dataset.train.inputs - 10) / 3
    return {"x": x, **dataset.train.labels, "ids": torch.arange(len(x))}


def value(task, batch, loss, *regularizers):
    network = Network.of(model(1))
    return Objective(loss, task, mean, regularizers, tuple(batch))(network, batch, {}, {}).loss


def test_terms_are_means_over_their_own_sets():  # of all training examples in one batch, written out in the papers' way
    for dataset in (data(), data(retain_per_forget=2)):
        base, current, batch = model(0), model(1), training_batch(dataset)
        task = Unlearning(dataset, CPU, base=base)
        forgotten, x, y = batch["forgotten"], batch["x"], batch["targets"]
        log_p, log_ref = current(x).log_softmax(-1), base(x).log_softmax(-1)
        assert forgotten.sum() == 10
        ascent = -cross_entropy(log_p[forgotten], y[forgotten])
        retain = cross_entropy(log_p[~forgotten], y[~forgotten])
        kept = kl_div(log_p[~forgotten], log_ref[~forgotten], reduction="batchmean", log_target=True)
        torch.testing.assert_close(value(task, batch, gradient_ascent), ascent)
        torch.testing.assert_close(value(task, batch, gradient_ascent, retain_cross_entropy), ascent + retain)
        torch.testing.assert_close(value(task, batch, gradient_ascent, retain_divergence), ascent + kept)
        ratio = (log_p - log_ref).gather(1, y.unsqueeze(1))[forgotten, 0]
        negative = -torch.nn.functional.logsigmoid(-0.1 * ratio).mean() * 2 / 0.1
        torch.testing.assert_close(value(task, batch, npo, retain_cross_entropy), negative + retain)


def test_base_stays():
    base, dataset = model(0), data()
    task = Unlearning(dataset, CPU, base=base)
    assert task.start is base and not any(p.requires_grad for p in base.parameters())


def test_attribution():
    dataset, batch = data(), training_batch(data())
    models = [model(seed) for seed in (3, 4)]
    task = Unlearning(dataset, CPU, base=model(0), retrained=models, attribution="retrained")
    means = (models[0](batch["x"]) + models[1](batch["x"])) / 2
    torch.testing.assert_close(value(task, batch, datamodel_matching), (model(1)(batch["x"]) - means).square().mean())
    torch.testing.assert_close(task.retrained_logits(batch["x"])[:, 1], models[1](batch["x"]))

    from lossbench.attribution import Removal

    expected = Removal(model(0), batch["x"], batch["targets"], batch["forgotten"], damping=0.02).logits(batch["x"])
    for part in (dataset, data(retain_per_forget=1)):  # attribution looks at all training examples in either case
        found = Unlearning(part, CPU, base=model(0), damping=0.02).attributed_logits(batch["x"])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (expected - model(0)(batch["x"])).abs().max() > 0.01


def test_metrics_without_retrained_models():
    task = Unlearning(data(), CPU, base=model(0))
    objective = Objective(gradient_ascent, task, mean, (), ("x", "targets", "forgotten", "ids"))
    assert objective.observable(("x", "targets", "ids")) == ["logits", "targets"]
    with_them = Objective(gradient_ascent, Unlearning(data(), CPU, base=model(0), retrained=[model(3)]), mean)
    assert "retrained_logits" in with_them.observable(("x", "targets", "ids"))


def test_refused():
    split = Split(images(40, 4), {"targets": torch.arange(40) % 3})
    with pytest.raises(UsageError, match=r"Choose variant=\[forget_set\]"):
        Unlearning(Dataset(split, split, split, num_outputs=3), CPU, base=model())
    with pytest.raises(UsageError, match=r"task\.base cannot read inputs of shape \[4\]"):
        Unlearning(data(), CPU, base=model(width=5))
    with pytest.raises(UsageError, match=r"task\.retrained has 2 outputs.*3 classes"):
        Unlearning(data(), CPU, base=model(), retrained=[model(outputs=2)])
    with pytest.raises(UsageError, match=r"task\.retrained is not given"):
        Unlearning(data(), CPU, base=model(), attribution="retrained").attributed_logits(images(2, 4))


BASE = "task.base={train: {budget.epochs: 15}}"
RETRAINED = "task.retrained=[{train: {variant: [forget_set], variant.forget_set.classes: [3], variant.forget_set.fraction: 1, variant.forget_set.keep: retain, budget.epochs: 15}}]"  # noqa: E501  # fmt: skip


def run(tmp_path, monkeypatch, *overrides):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main(["train", "task=unlearning", "variant=[forget_set]", "variant.forget_set.classes=[3]",
              "variant.forget_set.fraction=1", "device=cpu", BASE, RETRAINED, *overrides])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    return next(record["best"] for record in records if record["choices"]["task"] == "unlearning")


def test_forgetting_a_class(tmp_path, monkeypatch):  # before, and after: as a model that never saw it, and no less able
    before = run(tmp_path / "before", monkeypatch, "loss=gradient_ascent", "optimizer.lr=0", "budget.steps=1")
    after = run(tmp_path / "after", monkeypatch, "loss=npo", "loss.beta=1", "regularizer=[retain_cross_entropy]",
                "budget.epochs=15", "evaluation.epochs=15")  # fmt: skip
    assert before["test/forget/accuracy"] > 0.95 and before["test/unseen_forget/accuracy"] > 0.8
    assert after["test/forget/accuracy"] < 0.05 and after["test/unseen_forget/accuracy"] < 0.2
    assert after["test/unseen_retain/accuracy"] > before["test/unseen_retain/accuracy"] - 0.03
    assert after["test/forget/retrained_divergence"] < 0.5 * before["test/forget/retrained_divergence"]
    assert before["test/membership_auroc"] > 0.5 > after["test/membership_auroc"]
    assert after["test/forget_quality"] >= before["test/forget_quality"]
