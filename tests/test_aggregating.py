"""Aggregations in the trainer: the Jacobian, what the aggregated gradient is, what they do not go with."""

import inspect
from functools import partial

import pytest
import torch

from lossbench import preparing, run
from lossbench.aggregations.aggregation import ONE_BY_ONE, Aggregation, jacobian
from lossbench.aggregations.mgda import mgda
from lossbench.aggregations.upgrad import upgrad
from lossbench.errors import UsageError
from lossbench.vectorized.grouping import why_alone
from tests.engine import identical, parts, prepared, trainer, weights

SHORT = ("budget.steps=6", "evaluation.steps=3", "batch_size=16", "optimizer=sgd", "optimizer.lr=0.05")
MULTILABEL = ("dataset=digits_multilabel", "loss=any_loss")
TERMS = ("loss=center", "regularizer=[l2_norm]")


def step_of(made, batch=None):
    """One step; returns the gradients that it was made with."""
    batch = batch or next(iter(made.source.training(0)))
    made._train_step(dict(batch), 6)
    return [None if p.grad is None else p.grad.clone() for p in made.parameters]


@pytest.mark.parametrize("m", [ONE_BY_ONE - 1, ONE_BY_ONE + 5])
def test_jacobian(m):  # both ways against torch.func.jacrev, with parameters that some, or no objective depends on
    generator = torch.Generator().manual_seed(0)
    a, b, unused = (torch.randn(4, generator=generator).double().requires_grad_() for _ in range(3))
    factors = torch.randn(m, 4, generator=generator).double()

    def objectives(a, b):
        return torch.stack([(factors[i] * a).sum() ** 2 + (b.sin().sum() if i % 2 else 0.0) for i in range(m)])

    rows, used = jacobian(objectives(a, b), [a, unused, b])
    of_a, of_b = torch.func.jacrev(objectives, argnums=(0, 1))(a, b)
    torch.testing.assert_close(rows, torch.cat([of_a, torch.zeros(m, 4).double(), of_b], 1))
    assert used == [True, False, True]


def test_mean_of_examples_is_the_ordinary_gradient(tmp_path):
    plain = trainer(tmp_path, *SHORT)
    single = trainer(tmp_path, *SHORT, "aggregation=mean_gradient", "aggregation_of=examples")
    for expected, found in zip(step_of(plain), step_of(single), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_mean_of_terms_is_their_sum_over_their_number(tmp_path):  # center: two terms; with the regularizer three
    plain = trainer(tmp_path, *SHORT, *TERMS)
    single = trainer(tmp_path, *SHORT, *TERMS, "aggregation=mean_gradient")
    for expected, found in zip(step_of(plain), step_of(single), strict=True):
        torch.testing.assert_close(3 * found, expected, rtol=1e-4, atol=1e-6)


def test_examples_by_a_loop(tmp_path):  # the gradient of each example by itself, in a batch of one, then UPGrad
    made = trainer(tmp_path, *SHORT, "aggregation=upgrad", "aggregation_of=examples", "regularizer=[l2_norm]")
    batch = next(iter(made.source.training(0)))
    rows = []
    for i in range(16):
        own = {name: value[i : i + 1] for name, value in batch.items()}
        made.model.zero_grad()
        made.objective(made.network, own, {}, {}).loss.backward()
        rows.append(torch.cat([p.grad.flatten() for p in made.parameters]))
    expected = upgrad(torch.stack(rows))
    found = torch.cat([g.flatten() for g in step_of(made, batch)])
    assert (torch.stack(rows).mean(0) - expected).norm() > 0.1 * expected.norm()  # examples conflict
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_step_is_that_of_the_optimizer_and_loss_is_the_ordinary_one(tmp_path):
    rows = {}
    for name, extra in (("plain", ()), ("single", ("aggregation=mean_gradient", "aggregation_of=examples"))):
        rows[name] = []
        made = trainer(tmp_path / name, *SHORT, "clip_norm=0.5", *extra, report=rows[name].append)
        made.fit()
    assert len(rows["plain"]) == 2
    for a, b in zip(rows["plain"], rows["single"], strict=True):
        assert a["train/loss"] == pytest.approx(b["train/loss"], rel=1e-4)
        assert a["validation/nll"] == pytest.approx(b["validation/nll"], rel=1e-4)


def test_augmentation_that_mixes_labels(tmp_path):  # examples keep the weight of their partner's loss
    mixing = (*SHORT, "augmentation=[mixup]")
    plain = trainer(tmp_path, *mixing)
    single = trainer(tmp_path, *mixing, "aggregation=mean_gradient", "aggregation_of=examples")
    for expected, found in zip(step_of(plain), step_of(single), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_resumes_exactly(tmp_path):  # PCGrad draws: its stream goes on where it was
    chosen = (*SHORT, "optimizer.lr=0.002", "aggregation=pcgrad", "aggregation_of=examples")
    whole = trainer(tmp_path / "whole", *chosen)
    whole.fit()
    (tmp_path / "part").mkdir()
    first = trainer(tmp_path / "part", *chosen, stop=lambda: first.step == 3)
    with pytest.raises(run.Interrupted):
        first.fit()
    second = trainer(tmp_path / "part", *chosen)
    second.fit(run.checkpoint.latest(tmp_path / "part", "test", lambda text: None, torch.device("cpu")))
    assert second.resumed == 1 and identical(weights(whole.model), weights(second.model))


def test_memory():  # of an aggregation: what it returns becomes what it is given
    def remembering(jacobian, ids, losses, state):
        return state["seen"][0] + jacobian.sum(0), {"seen": state["seen"] + 1}

    p = torch.nn.Parameter(torch.zeros(3))
    aggregation = Aggregation(partial(remembering), "examples")
    objectives = torch.stack([p.sum(), 2 * p.sum()])
    given = {"ids": torch.arange(2), "state": {"seen": torch.zeros(1)}, "generator": None}
    new = aggregation.leave_gradients(objectives, [p], given)
    assert p.grad.tolist() == [3.0] * 3 and new["seen"].item() == 1.0


def test_not_finite_is_divergence(tmp_path):
    far = (*SHORT, "optimizer.lr=1e30", "aggregation=upgrad", "aggregation_of=examples")
    record = run.execute(prepared(tmp_path, *far))
    assert record["status"] == "diverged"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("accumulation=2",), "accumulation=2 does not go with aggregation=upgrad"),
        (("precision=fp16",), "precision=fp16 does not go with aggregation=upgrad.*precision=bf16"),
        (("compile=true",), "compile=true does not go with aggregation=upgrad.*compile=false"),
        (("optimizer=sam",), "aggregation=upgrad does not go with SAM"),
        (("optimizer=lbfgs",), "aggregation=upgrad does not go with LBFGS"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refused(overrides, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        trainer(tmp_path, "aggregation=upgrad", *overrides)


def test_one_term_is_refused(tmp_path):
    with pytest.raises(UsageError, match="loss=cross_entropy has one term only"):
        step_of(trainer(tmp_path, *SHORT, "aggregation=upgrad"))


def test_batch_statistic_has_no_examples(tmp_path):
    with pytest.raises(UsageError, match="loss=any_loss has one value for the whole batch"):
        step_of(trainer(tmp_path, *SHORT, *MULTILABEL, "aggregation=mgda", "aggregation_of=examples"))


def test_identity(tmp_path):  # runs without an aggregation keep the names they had; with one, its objectives count
    plain = prepared(tmp_path, *SHORT)
    assert "aggregation" not in plain.config or plain.config["aggregation"] is None
    without = {key: value for key, value in plain.config.items() if not key.startswith("aggregation")}
    without["choices"] = {key: value for key, value in plain.config["choices"].items() if key != "aggregation"}
    assert preparing._hash(without) == plain.run
    examples = "aggregation_of=examples"
    chosen = [(), ("aggregation=mgda",), ("aggregation=upgrad",), ("aggregation=mgda", examples)]
    names = {prepared(tmp_path, *SHORT, *overrides).run for overrides in chosen}
    assert len(names) == 4 and plain.run in names
    assert prepared(tmp_path, *SHORT, examples).run == plain.run  # of nothing


def test_not_stacked(tmp_path):
    alone = why_alone(prepared(tmp_path, *SHORT, *TERMS, "aggregation=upgrad").config)
    assert alone is not None and alone.startswith("aggregation=upgrad")
    assert why_alone(prepared(tmp_path, *SHORT, *TERMS).config) is None


def test_nothing_is_there_without_one(tmp_path):
    made = parts(tmp_path, *SHORT)
    assert made["aggregation"] is None and "aggregation" not in made["generators"]
    assert inspect.signature(mgda).parameters.keys() == {"jacobian"}
