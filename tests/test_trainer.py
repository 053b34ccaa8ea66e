"""The trainer against loops written out by hand, and against everything that goes wrong in a run."""

import inspect
import math
import shutil
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lossbench import building, checkpoint, run, seeds
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.metrics.classification import classification_metrics
from lossbench.models.mlp import mlp
from lossbench.objective import Objective
from lossbench.reductions.mean import mean
from lossbench.schedules.constant import constant
from lossbench.source import Source
from lossbench.tasks.classification import Classification
from lossbench.tasks.supervised import SupervisedTask
from lossbench.trainer import Interrupted, Settings, Trainer
from tests.engine import identical, parts, prepared, trainer, weights

gpu = pytest.mark.gpu
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
CPU = torch.device("cpu")


def digits_by_hand() -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised training images and targets of the default run, without the source."""
    from lossbench.datasets.digits import digits

    data = digits(generator=seeds.generator(0, "split"))
    return (data.train.inputs - data.mean) / data.std, data.train.labels["targets"]


def wsd_by_hand(step: int, total: int) -> float:
    """5 % warm-up, 20 % decay by 1 - sqrt, as the default config says."""
    rise, fall = round(0.05 * total), round(0.2 * total)
    if step < rise:
        return (step + 1) / rise
    return 1.0 if step < total - fall else 1 - math.sqrt((step - (total - fall)) / fall)


def hand_written(
    model: nn.Module, make, total: int, loss=F.cross_entropy, batch_size: int = 128, seed: int = 0
) -> list:
    """A training loop of ten lines."""
    x, y = digits_by_hand()
    optimizer = make(model)
    rates = [group["lr"] for group in optimizer.param_groups]
    for step in range(total):
        epoch, position = divmod(step, len(x) // batch_size)
        order = torch.randperm(len(x), generator=seeds.generator(seed, f"order/{epoch}"))
        rows = order[position * batch_size : (position + 1) * batch_size]
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * wsd_by_hand(step, total)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return weights(model)


def initial_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seeds.derive(seed, "model"))
    return mlp(input_shape=(1, 8, 8), num_outputs=10)


def split_groups(model: nn.Module, decay: float) -> list[dict]:
    return [
        {"params": [p for n, p in model.named_parameters() if n.endswith("weight")], "weight_decay": decay},
        {"params": [p for n, p in model.named_parameters() if n.endswith("bias")], "weight_decay": 0.0},
    ]


# --- trajectories ------------------------------------------------------------------------------------------------

WSD = ("schedule.warmup=0.05", "schedule.decay=0.2", "schedule.shape=one_minus_sqrt")
OPTIMIZERS = {
    "sgd": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "adamw": lambda m: torch.optim.AdamW(split_groups(m, 0.01), lr=0.001, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trajectory_is_that_of_a_hand_written_loop(name, tmp_path):
    """Bit by bit, over two epochs and a part of a third; evaluation in between moves nothing."""
    expected = hand_written(initial_model(), OPTIMIZERS[name], total=20, batch_size=128)
    built = trainer(tmp_path, f"optimizer={name}", "budget.steps=20", "evaluation.steps=3", *WSD)
    start = weights(built.model)
    assert identical(start, weights(initial_model()))
    built._test = dict  # so that the model keeps its last weights
    built.fit()
    assert not identical(weights(built.model), start)
    assert identical(weights(built.model), expected)


def test_evaluation_moves_no_random_stream(tmp_path):
    """Dropout's stream is the same whether a run is evaluated after every step or at the end."""
    ends = []
    for cadence in (1, 12):
        built = trainer(tmp_path, "model.dropout=0.5", "budget.steps=12", f"evaluation.steps={cadence}")
        built._test = dict
        built.fit()
        ends.append(weights(built.model))
    assert identical(*ends)


def test_losses_of_one_seed_start_and_read_alike(tmp_path):
    """Paired: same initial weights, same batches, same augmentation; another seed changes all of them."""
    seen = {}
    augmentation = ("augmentation=[crop,mixup]", "augmentation.crop.padding=1")
    for name, seed in (("cross_entropy", 0), ("center", 0), ("virtual_adversarial", 0), ("cross_entropy", 1)):
        made = parts(tmp_path, f"loss={name}", f"seed={seed}", *augmentation)
        batches = [batch for batch, _ in zip(made["source"].training(), range(14), strict=False)]
        seen[name, seed] = weights(made["model"]) + [t for b in batches for t in (b["x"], b["targets"], b["ids"])]
    assert identical(seen["cross_entropy", 0], seen["center", 0])
    assert identical(seen["cross_entropy", 0], seen["virtual_adversarial", 0])
    for one, other in zip(seen["cross_entropy", 0], seen["cross_entropy", 1], strict=True):
        assert not torch.equal(one, other)


def test_parameters_of_the_loss_are_trained_and_move_no_other_stream(tmp_path):
    built = trainer(tmp_path, "loss=center", "budget.steps=5", "loss.weight=1")
    before = built.params["center"]["centers"].detach().clone()
    assert identical(weights(built.model), weights(initial_model()))
    built.fit()
    assert not torch.equal(built.params["center"]["centers"], before)


# --- accumulation ------------------------------------------------------------------------------------------------

ACCUMULATED = (
    ["loss=cross_entropy"],
    ["loss=center", "loss.weight=0.5"],
    ["loss=early_learning"],
    ["loss=virtual_adversarial", "loss.xi=0.1"],  # at the default 1e-3 the direction amplifies rounding
    ["loss=focal", "reduction=sum", "optimizer.lr=0.0001"],
    ["loss=polyloss", "regularizer=[l2_norm,confidence_penalty]", "regularizer.l2_norm.weight=0.1"],
    ["loss=brier", "augmentation=[mixup]"],
    ["loss=squentropy", "clip_norm=0.05"],
    ["loss=cross_entropy", "ema=0.9"],
)


@pytest.mark.parametrize("overrides", ACCUMULATED, ids=" ".join)
def test_accumulation_equals_the_big_batch(overrides, tmp_path):
    ends, losses = [], []
    for k in (1, 4):
        rows: list = []
        sgd = () if any(o.startswith("optimizer") for o in overrides) else ("optimizer.lr=0.05",)
        built = trainer(
            tmp_path, "optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false", *sgd, "schedule=constant",
            "budget.steps=6", "evaluation.steps=6", "batch_size=64", f"accumulation={k}", *overrides,
            report=rows.append,
        )  # fmt: skip
        built._test = dict
        built.fit()
        own = [t.detach() for tensors in built.params.values() for t in tensors.values()]
        memory = [t for tensors in built.state.values() for t in tensors.values()]
        ends.append([*weights(built.model), *own, *memory, *(built.average or [])])
        losses.append({key: value for key, value in rows[-1].items() if key.startswith("train/")})
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    assert losses[0].keys() == losses[1].keys() and losses[0]
    for key, value in losses[0].items():
        assert value == pytest.approx(losses[1][key], rel=1e-5), key


class Sequences(SupervisedTask):
    """Tokens with a mask: every token of a sequence gets the logits of its own columns."""

    batch = ("x", "targets", "mask", "ids")
    selection = ("accuracy", "higher")

    def logits(self, head, features):
        return head(features).unflatten(-1, (5, 3))

    def metrics(self, logits, targets):
        return {"accuracy": (logits.argmax(-1) == targets).double().mean()}


def sequences() -> Dataset:
    draw = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        lengths = torch.randint(0, 6, (n, 1), generator=draw)  # some sequences are masked as a whole
        labels = {"targets": torch.randint(3, (n, 5), generator=draw), "mask": torch.arange(5) < lengths}
        return Split(torch.randn(n, 4, generator=draw), labels)

    return Dataset(split(48), split(8), split(8), num_outputs=15)


@pytest.mark.parametrize("reduction", ["mean", "token_mean", "sequence_mean", "sum"])
def test_accumulation_equals_the_big_batch_with_masks_of_sequences(reduction, tmp_path):
    from importlib import import_module

    reduce = getattr(import_module(f"lossbench.reductions.{reduction}"), reduction)
    ends = []
    for k in (1, 4):
        data = sequences()
        source = Source(data, batch_size=16, evaluation_batch_size=8, device=CPU, seed=0)
        torch.manual_seed(0)
        model = mlp(input_shape=(4,), num_outputs=15, widths=[8])
        built = Trainer(
            run="test", folder=tmp_path, model=model, source=source, params={}, state={}, generators={},
            objective=Objective(cross_entropy, Sequences(), reduce, batch=source.names()),
            optimizer=torch.optim.SGD(model.parameters(), lr=0.01 if reduction == "sum" else 0.5),
            schedule=constant,
            settings=Settings(steps=9, seconds=None, evaluate_every=9, accumulation=k, checkpoint_seconds=None),
            report=lambda row: None, progress=lambda step, total: None, stop=lambda: False,
        )  # fmt: skip
        built._test = dict
        built.fit()
        ends.append(weights(model))
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_masked_loss_is_the_mean_over_what_the_mask_keeps():
    data = sequences()
    source = Source(data, batch_size=16, evaluation_batch_size=8, device=CPU, seed=0)
    objective = Objective(cross_entropy, Sequences(), mean, batch=source.names())
    batch = next(source.training())
    assert batch["mask"].any() and not batch["mask"].all() and not batch["mask"].any(1).all()
    logits = torch.randn(16, 15)
    network = type("Net", (), {"_asdict": lambda self: {"body": lambda x: x, "head": lambda f: logits}})()
    result = objective(network, batch, {}, {})
    kept = [
        F.cross_entropy(logits.view(16, 5, 3)[i, t], batch["targets"][i, t])
        for i in range(16)
        for t in range(5)
        if batch["mask"][i, t]
    ]
    torch.testing.assert_close(result.loss, torch.stack(kept).mean())


@pytest.mark.parametrize(
    "overrides",
    [
        ["loss=any_loss", "task=multilabel", "dataset=digits_multilabel"],
        ["reduction=cvar"],
        ["reduction=cvar", "reduction.fraction=0.98"],
        ["reduction=sum", "regularizer=[l2_norm]"],
    ],
    ids=" ".join,
)
def test_accumulation_refuses_what_does_not_add(overrides, tmp_path):
    with pytest.raises(UsageError, match="accumulation=2 does not go with"):
        parts(tmp_path, "accumulation=2", *overrides)


def test_accumulation_takes_class_weights(tmp_path):
    parts(tmp_path, "accumulation=2", f"loss.class_weights={[1.0] * 9 + [2.0]}".replace(" ", ""))
    parts(
        tmp_path, "accumulation=2", "dataset=digits_multilabel", "task=multilabel", "loss=binary_cross_entropy",
        f"loss.positive_weights={[1.0] * 9 + [2.0]}".replace(" ", ""),
    )  # fmt: skip


# --- weights: averages, clipping, decay --------------------------------------------------------------------------


def test_ema_is_the_definition(tmp_path):
    """a <- d a + (1 - d) w after every step, from the initial weights; evaluation sees a, training goes on with w."""
    own: list = []
    built = trainer(
        tmp_path, "ema=0.9", "optimizer=sgd", "budget.steps=7", "evaluation.steps=7",
        progress=lambda step, total: own.append(weights(built.model)),
    )  # fmt: skip
    average = [p.double() for p in weights(built.model)]
    measured: list = []
    collect = built.collect
    built.collect = lambda split: measured.append((split, weights(built.model))) or collect(split)
    built.fit()
    for step in own:
        average = [0.9 * a + 0.1 * w.double() for a, w in zip(average, step, strict=True)]
    assert len(own) == 7
    plain = trainer(tmp_path, "optimizer=sgd", "budget.steps=7", "evaluation.steps=7")
    plain._test = dict
    plain.fit()
    assert identical(own[-1], weights(plain.model))  # the average does not disturb training
    assert [split for split, _ in measured][:2] == ["validation", "test"]
    for _, seen in measured:
        for a, b in zip(seen, average, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)
        assert not identical(seen, own[-1])


def test_clipping_by_the_norm_of_all_gradients(tmp_path):
    """One SGD step moves the weights by lr times the clipped gradient, whose norm is clip_norm."""
    moved = {}
    for clip in ("null", "0.01", "1000"):
        built = trainer(
            tmp_path, "optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "optimizer.nesterov=false",
            "schedule=constant", f"clip_norm={clip}", "budget.steps=1",
        )  # fmt: skip
        before = weights(built.model)
        built._test = dict
        built.fit()
        moved[clip] = torch.cat([(a - b).flatten() for a, b in zip(before, weights(built.model), strict=True)])
    assert moved["null"].norm() > 0.1
    assert torch.equal(moved["null"], moved["1000"])
    assert moved["0.01"].norm().item() == pytest.approx(0.01, rel=1e-3)
    cosine = F.cosine_similarity(moved["0.01"], moved["null"], dim=0)
    assert cosine.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("everything", "decayed"), [("false", {"weight"}), ("true", {"weight", "bias", "centers"})])
def test_weight_decay_groups(everything, decayed, tmp_path):
    """With a learning rate but no gradient, SGD with decay d shrinks what is decayed by 1 - lr d, nothing else."""
    built = trainer(
        tmp_path, "optimizer=sgd", "optimizer.weight_decay=0.5", "optimizer.momentum=0", "optimizer.nesterov=false",
        "optimizer.lr=0.1", f"weight_decay_on_all={everything}", "loss=center",
    )  # fmt: skip
    named = dict(built.model.named_parameters()) | built.params["center"]
    before = {name: p.detach().clone() for name, p in named.items()}
    for p in named.values():
        p.grad = torch.zeros_like(p)
    built.optimizer.step()
    for name, p in named.items():
        factor = 0.95 if name.rpartition(".")[2] in decayed else 1.0
        torch.testing.assert_close(p.detach(), before[name] * factor, rtol=1e-6, atol=0)


# --- budgets and evaluation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (["budget.steps=11"], 11),
        (["budget.epochs=2"], 32),  # 1079 training examples, 16 whole batches of 64 ... of 128: 8 an epoch
        (["budget.epochs=0.5"], 8),
        (["budget.examples=1000"], 16),
        (["budget.examples=1024"], 16),
    ],
)
def test_budgets(overrides, steps, tmp_path):
    seen: list = []
    built = trainer(tmp_path, "batch_size=64", *overrides, progress=lambda step, total: seen.append((step, total)))
    assert built.source.steps_per_epoch == 16
    outcome = built.fit()
    assert outcome.steps == steps and outcome.status == "completed"
    assert seen == [(i + 1, steps) for i in range(steps)]


def test_budget_in_seconds(tmp_path):
    rates: list = []
    built = trainer(
        tmp_path, "budget.seconds=0.5", "evaluation.epochs=5", "schedule=wsd", "schedule.warmup=0",
        progress=lambda step, total: rates.append(built.optimizer.param_groups[0]["lr"]),
    )  # fmt: skip
    outcome = built.fit()
    assert 0.45 <= outcome.train_seconds < 5  # a busy machine may take the processor away before the last step
    assert outcome.steps > 20 and outcome.final["step"] == outcome.steps
    assert rates[-1] < 0.3 * max(rates)  # the schedule has come to its end, although the steps were not known


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["evaluation.steps=4"], [4, 8, 10]),
        (["evaluation.epochs=1"], [8, 10]),
        (["evaluation.epochs=0.5"], [4, 8, 10]),
        (["evaluation.epochs=0.01"], list(range(1, 11))),
        (["evaluation.steps=50"], [10]),
    ],
)
def test_evaluation_cadence(overrides, expected, tmp_path):
    rows: list = []
    trainer(tmp_path, "budget.steps=10", *overrides, report=rows.append).fit()
    assert [row["step"] for row in rows] == expected
    assert [row["epoch"] for row in rows] == [step / 8 for step in expected]
    assert [row["examples"] for row in rows] == [step * 128 for step in expected]


def test_train_loss_is_the_mean_since_the_last_evaluation(tmp_path):
    """Of the losses at the weights before each step."""
    rows: list = []
    built = trainer(tmp_path, "budget.steps=6", "evaluation.steps=3", "loss=center", report=rows.append)
    by_hand: list = []
    compute = built._evaluate_objective

    def observed(batch, total):
        result = compute(batch, total)
        by_hand.append({"loss": result.loss.item(), **{k: v.item() / result.count for k, v in result.terms.items()}})
        return result

    built._evaluate_objective = observed
    built.fit()
    assert set(by_hand[0]) == {"loss", "cross_entropy", "center"}
    for row, steps in zip(rows, (by_hand[:3], by_hand[3:]), strict=True):
        for key in by_hand[0]:
            assert row[f"train/{key}"] == pytest.approx(sum(s[key] for s in steps) / 3, rel=1e-6)


def test_best_by_validation_and_test_read_once(tmp_path):
    """The weights of the best evaluation are restored, and only then is the test split looked at, once."""
    built = trainer(tmp_path, "optimizer=sgd", "optimizer.lr=0.5", "budget.steps=30", "evaluation.steps=3")
    kept: list = []
    read: list = []
    evaluation = built.source.evaluation
    built.source.evaluation = lambda name: read.append(name) or evaluation(name)
    built.report = lambda row: kept.append((row, weights(built.model)))
    outcome = built.fit()
    # Validation once more, with the chosen weights: what is fitted on it, such as a temperature, is measured on test.
    assert read == ["validation"] * 10 + ["test", "validation"]
    scores = [row["validation/accuracy"] for row, _ in kept]
    chosen, best = kept[scores.index(max(scores))]  # the first of equals
    assert outcome.best["step"] == chosen["step"] and identical(weights(built.model), best)
    data = built.source.splits["test"]
    inputs = (data.inputs - built.source.mean) / built.source.std
    with torch.no_grad():
        expected = classification_metrics(built.model.eval()(inputs), data.labels["targets"])
    for name, value in expected.items():
        assert outcome.best[f"test/{name}"] == pytest.approx(value.item(), abs=1e-6), name
    assert outcome.final == kept[-1][0] and outcome.best["validation/accuracy"] == max(scores)


def test_selection_by_another_metric(tmp_path):
    """Lower is better for the negative log-likelihood, without being told; the direction can be forced."""
    ends = {}
    for extra in ((), ("selection.direction=higher",)):
        rows: list = []
        built = trainer(
            tmp_path, "optimizer=sgd", "budget.steps=30", "evaluation.steps=3", "selection.metric=nll", *extra,
            report=rows.append,
        )  # fmt: skip
        outcome = built.fit()
        ends[extra] = outcome.best["validation/nll"], [row["validation/nll"] for row in rows]
    assert ends[()][0] == min(ends[()][1])
    assert ends["selection.direction=higher",][0] == max(ends["selection.direction=higher",][1])


def test_unknown_selection_metric_is_refused_before_step_0(tmp_path):
    steps: list = []
    built = trainer(tmp_path, "selection.metric=acuracy", progress=lambda *a: steps.append(a))
    with pytest.raises(UsageError, match=r"selection\.metric=acuracy .* did you mean 'accuracy'"):
        built.fit()
    assert not steps


# --- what is not finite ------------------------------------------------------------------------------------------


def poisoned(tmp_path, value: float, at: int, *overrides: str, field: str = "total"):
    """A run whose loss is ``value`` at one step; (trainer, weights after each step)."""
    after: list = []
    built = trainer(
        tmp_path, "budget.steps=8", "evaluation.steps=2", *overrides,
        progress=lambda step, total: after.append(weights(built.model)),
    )  # fmt: skip
    compute = built._evaluate_objective

    def evaluate(batch, total):
        result = compute(batch, total)
        return result._replace(total=result.total * value) if built.step == at else result

    built._evaluate_objective = evaluate
    return built, after


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize(
    "overrides",
    [(), ("accumulation=4",), ("clip_norm=1",), ("precision=fp16",), ("optimizer=sam",), ("optimizer=lbfgs",)],
    ids=" ".join,
)
def test_non_finite_loss_is_caught_before_the_step(value, at, overrides, tmp_path):
    built, after = poisoned(tmp_path, value, at, *overrides)
    start = weights(built.model)
    outcome = built.fit()
    assert outcome.status == "diverged" and outcome.steps == at
    assert "training loss" in outcome.message
    assert len(after) == at
    assert identical(weights(built.model), after[-1] if after else start)  # the step did not happen
    assert all(p.isfinite().all() for p in built.model.parameters())
    assert not any(key.startswith("test/") for key in outcome.best)
    assert outcome.train_seconds > 0


def test_divergence_at_a_trial_point_leaves_the_weights_of_the_last_step(tmp_path):
    """The line search of L-BFGS has moved the weights when the loss there is not finite."""
    built = trainer(tmp_path, "optimizer=lbfgs", "budget.steps=3")
    start, calls = weights(built.model), 0
    compute = built._evaluate_objective

    def evaluate(batch, total):
        nonlocal calls
        calls += 1
        result = compute(batch, total)
        return result._replace(total=result.total * math.nan) if calls == 3 else result

    built._evaluate_objective = evaluate
    assert built.fit().status == "diverged" and calls == 3
    assert identical(weights(built.model), start)


def test_infinite_gradient_of_the_last_step_is_divergence(tmp_path):
    """The loss was finite, so that nothing is noticed before the step; a next step would see it, and there is none."""
    built = trainer(tmp_path, "budget.steps=2", "evaluation.steps=5")
    gradients = built._gradients

    def spoiled(batch, total):
        loss = gradients(batch, total)
        if built.step == 1:
            built.parameters[0].grad[0, 0] = math.nan
        return loss

    built._gradients = spoiled
    outcome = built.fit()
    assert outcome.status == "diverged" and "weights" in outcome.message


def test_too_large_a_learning_rate_diverges(tmp_path):
    built = trainer(tmp_path, "optimizer=sgd", "optimizer.lr=1e30", "schedule=constant")
    outcome = built.fit()
    assert outcome.status == "diverged" and 0 < outcome.steps < 10


# --- precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_autocast_on_the_cpu(precision, tmp_path):
    """The matrix products run in 16 bits, the loss and the weights in 32; it learns."""
    dtypes: dict = {}
    made = parts(tmp_path, f"precision={precision}", "budget.steps=64")
    loss = made["objective"].functions[0]

    def watched(logits, targets):
        values = loss(logits, targets)
        dtypes.update(logits=logits.dtype, loss=values.dtype)
        return values

    made["objective"].functions[0] = watched
    made["model"].body.register_forward_hook(lambda module, inputs, output: dtypes.update(features=output.dtype))
    still = {"report": lambda row: None, "progress": lambda step, total: None, "stop": lambda: False}
    built = Trainer(run="test", folder=tmp_path, **made, **still)
    assert (built.scaler is not None) == (precision == "fp16")
    outcome = built.fit()
    half = torch.bfloat16 if precision == "bf16" else torch.float16
    assert dtypes == {"features": half, "logits": torch.float32, "loss": torch.float32}
    assert {p.dtype for p in built.model.parameters()} == {torch.float32}
    assert outcome.status == "completed" and outcome.best["validation/accuracy"] > 0.7


def test_half_precision_stays_near_full_precision(tmp_path):
    """Ten SGD steps: the scaled gradients are unscaled before clipping and before the step."""
    ends = {}
    for precision in ("fp32", "bf16", "fp16"):
        built = trainer(
            tmp_path, f"precision={precision}", "optimizer=sgd", "budget.steps=10", "clip_norm=0.5", "accumulation=2"
        )
        built._test = dict
        built.fit()
        ends[precision] = torch.cat([p.flatten() for p in weights(built.model)])
    moved = (ends["fp32"] - torch.cat([p.flatten() for p in weights(initial_model())])).norm()
    for precision, tolerance in (("bf16", 0.1), ("fp16", 0.02)):
        assert (ends[precision] - ends["fp32"]).norm() < tolerance * moved, precision


def test_loss_scaling_refuses_optimizers_with_a_closure(tmp_path):
    for name in ("sam", "lbfgs"):
        with pytest.raises(UsageError, match="loss scaling does not go with"):
            trainer(tmp_path, "precision=fp16", f"optimizer={name}")


# --- other optimizers, compilation, determinism ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lbfgs", "sam"])
def test_optimizers_with_a_closure(name, tmp_path):
    rows: list = []
    built = trainer(tmp_path, f"optimizer={name}", "budget.steps=20", "model=linear", report=rows.append)
    outcome = built.fit()
    assert built.needs_closure and outcome.status == "completed"
    assert outcome.best["validation/accuracy"] > 0.85
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]


def test_sam_is_the_definition(tmp_path):
    """Two gradients a step, the second at w + rho g / |g|; written out."""
    built = trainer(tmp_path, "optimizer=sam", "schedule=constant", "budget.steps=4", "evaluation.steps=9")
    built._test = dict
    model = initial_model()
    x, y = digits_by_hand()
    order = torch.randperm(len(x), generator=seeds.generator(0, "order/0"))
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    losses = []
    for rows in order[: 4 * 128].split(128):
        origin = weights(model)
        loss = F.cross_entropy(model(x[rows]), y[rows])
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        with torch.no_grad():
            for p, g in zip(model.parameters(), gradients, strict=True):
                p += 0.05 * g / norm
        gradients = torch.autograd.grad(F.cross_entropy(model(x[rows]), y[rows]), list(model.parameters()))
        with torch.no_grad():
            for p, o, g, v in zip(model.parameters(), origin, gradients, velocity, strict=True):
                v.mul_(0.9).add_(g)
                p.copy_(o - 0.1 * (g + 0.9 * v))  # Nesterov
    outcome = built.fit()
    for a, b in zip(weights(built.model), weights(model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert outcome.final["train/loss"] == pytest.approx(sum(losses) / 4, rel=1e-5)  # not that of the trial points


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adagrad"])
def test_fused_is_used_and_changes_nothing_but_rounding(name, tmp_path):
    ends = []
    for fused in ("null", "false"):
        built = trainer(tmp_path, f"optimizer={name}", f"optimizer.fused={fused}", "budget.steps=10")
        assert built.optimizer.param_groups[0]["fused"] is (fused == "null")
        built._test = dict
        built.fit()
        ends.append(weights(built.model))
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_noise_is_drawn_once_a_step(tmp_path):
    """The trial points of an optimizer see the noise of their step, so that they compare the same function."""
    seen: list = []
    made = parts(tmp_path, "loss=virtual_adversarial", "optimizer=sam", "budget.steps=3")
    loss = made["objective"].functions[0]

    def watched(forward, x, logits, targets, noise):
        seen.append(noise.clone())
        return loss(forward, x, logits, targets, noise)

    made["objective"].functions[0] = watched
    still = {"report": lambda row: None, "progress": lambda step, total: None, "stop": lambda: False}
    Trainer(run="test", folder=tmp_path, **made, **still).fit()
    assert len(seen) == 6
    assert all(torch.equal(seen[i], seen[i + 1]) for i in (0, 2, 4))
    assert not torch.equal(seen[0], seen[2]) and not torch.equal(seen[2], seen[4])


@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="torch.compile needs a compiler"
)
def test_compiled_run_is_near_the_plain_one(tmp_path):
    """And its model has the same names, so that its weights can be loaded."""
    ends = []
    for flag in ("true", "false"):
        built = trainer(tmp_path, f"compile={flag}", "optimizer=sgd", "budget.steps=3", "model=linear")
        built._test = dict
        built.fit()
        ends.append(built.model.state_dict())
    assert ends[0].keys() == ends[1].keys()
    for a, b in zip(ends[0].values(), ends[1].values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_deterministic_mode_is_set_and_unset(tmp_path):
    ends = []
    for flag in ("true", "true", "false"):
        record = run.execute(
            prepared(tmp_path / str(len(ends)), f"deterministic={flag}", "budget.steps=3", "loss=early_learning")
        )
        assert torch.are_deterministic_algorithms_enabled() is (flag == "true")
        ends.append(checkpoint.read(tmp_path / str(len(ends)) / "runs" / record["folder"] / "weights.pt")["model"])
    assert identical(list(ends[0].values()), list(ends[1].values()))


# --- stopping and going on, in this process ----------------------------------------------------------------------

RESUMED = (
    ["loss=cross_entropy", "model.dropout=0.3"],
    ["loss=early_learning", "ema=0.9"],
    ["loss=center", "optimizer=sgd", "augmentation=[crop,mixup]", "augmentation.crop.padding=1"],
    ["loss=virtual_adversarial", "optimizer=sam", "accumulation=2"],
    ["precision=fp16", "optimizer=adamw"],
    ["optimizer=lbfgs", "model=linear"],
    ["loss=squentropy", "optimizer=lion", "regularizer=[feature_norm]"],
    ["model.dropout=0.3", "data.resident=false", "data.workers=0"],
)


@pytest.mark.parametrize("overrides", RESUMED, ids=" ".join)
def test_resumed_run_is_bit_identical(overrides, tmp_path):
    """Stopped after every third step, each time with everything built anew."""
    common = ["budget.steps=13", "evaluation.steps=4", "batch_size=256", *overrides]
    whole: list = []
    reference = trainer(tmp_path, *common, report=whole.append)
    expected = reference.fit()
    rows: list = []
    while True:
        resume = checkpoint.latest(tmp_path, "test", print)
        built = trainer(tmp_path, *common, report=rows.append)
        built.stop = partial(lambda own: own.step % 3 == 0, built)
        try:
            outcome = built.fit(resume)
            break
        except Interrupted:
            assert built.step % 3 == 0
    assert built.resumed == 4

    def timeless(row: dict) -> dict:
        return {key: value for key, value in row.items() if key != "seconds"}

    assert [timeless(row) for row in rows] == [timeless(row) for row in whole]
    assert timeless(outcome.best) == timeless(expected.best) and timeless(outcome.final) == timeless(expected.final)
    assert identical(weights(built.model), weights(reference.model))
    for group in ("params", "state"):
        for name, tensors in getattr(reference, group).items():
            for key, tensor in tensors.items():
                assert torch.equal(getattr(built, group)[name][key], tensor), (name, key)


def test_signature_decides_about_the_closure():
    """No list of names: what the trainer reads is whether step's closure has a default."""
    for optimizer, needed in ((torch.optim.LBFGS, True), (torch.optim.AdamW, False)):
        default = inspect.signature(optimizer.step).parameters["closure"].default
        assert (default is inspect.Parameter.empty) is needed


# --- on a GPU ----------------------------------------------------------------------------------------------------


def images() -> Dataset:
    draw = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        targets = torch.randint(10, (n,), generator=draw)
        noise = torch.randint(0, 100, (n, 3, 32, 32), generator=draw)
        return Split((noise + 15 * targets.view(-1, 1, 1, 1)).to(torch.uint8), {"targets": targets})

    return Dataset(
        split(256), split(64), split(64), 10, mean=torch.full((3, 1, 1), 117.0), std=torch.full((3, 1, 1), 50.0)
    )


def on_cuda(tmp_path, *, autocast=None, scaling=False, steps=12, optimizer=torch.optim.SGD, loss=cross_entropy, **more):
    from lossbench.models.resnet18 import resnet18

    device = torch.device("cuda")
    source = Source(images(), batch_size=64, evaluation_batch_size=64, device=device, seed=0)
    torch.manual_seed(0)
    model = resnet18(input_shape=(3, 32, 32), num_outputs=10).to(device)
    arguments = {"report": lambda row: None, "progress": lambda step, total: None, "stop": lambda: False, **more}
    return Trainer(
        run="test", folder=tmp_path, model=model, source=source, params={}, state={}, generators={},
        objective=Objective(loss, Classification(images(), device), mean, batch=source.names()),
        optimizer=optimizer(model.parameters(), lr=0.05, fused=True), schedule=constant,
        settings=Settings(steps=steps, seconds=None, evaluate_every=4, checkpoint_seconds=None, autocast=autocast,
                          loss_scaling=scaling), **arguments,
    )  # fmt: skip


@gpu
@needs_cuda
@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16])
def test_resnet18_on_cuda(autocast, tmp_path):
    built = on_cuda(tmp_path, autocast=autocast, scaling=autocast is torch.float16, steps=40)
    outcome = built.fit()
    assert outcome.status == "completed" and outcome.best["validation/accuracy"] > 0.5
    assert {p.dtype for p in built.model.parameters()} == {torch.float32}


@gpu
@needs_cuda
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("at", [0, 5])
def test_divergence_on_the_device_leaves_the_weights(optimizer, at, tmp_path):
    """No look at the loss between the steps: the optimizer skips by a flag on the device, from the bad step on."""
    after: list = []
    built = on_cuda(tmp_path, optimizer=optimizer, progress=lambda step, total: after.append(weights(built.model)))
    start = weights(built.model)
    compute = built._evaluate_objective

    def evaluate(batch, total):
        result = compute(batch, total)
        return result._replace(total=result.total * math.nan) if built.step == at else result

    built._evaluate_objective = evaluate
    outcome = built.fit()
    assert outcome.status == "diverged" and f"step {at}" in outcome.message
    assert identical(weights(built.model), after[at - 1] if at else start)


@gpu
@needs_cuda
def test_resume_on_cuda(tmp_path):
    """The memory of a loss, the state of the optimizer and the weights come back to the device."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        reference = on_cuda(tmp_path)
        reference._test = dict
        reference.fit()
        built = on_cuda(tmp_path, stop=lambda: True)
        with pytest.raises(Interrupted):
            built.fit()
        resume = checkpoint.latest(tmp_path, "test", print, torch.device("cuda"))
        built = on_cuda(tmp_path)
        built._test = dict
        built.fit(resume)
    finally:
        torch.use_deterministic_algorithms(False)
    for a, b in zip(weights(reference.model), weights(built.model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


# --- what is measured at the end -----------------------------------------------------------------------------------


def test_further_splits_and_metrics_across_splits(tmp_path):
    """A split with labels is measured as test is; one without gives its outputs to the metrics across splits."""
    built = trainer(tmp_path, "optimizer=sgd", "budget.steps=6", "evaluation.steps=3")
    test = built.source.splits["test"]
    built.source.splits["shifted"] = Split(test.inputs + 3, test.labels)
    built.source.splits["unlabelled"] = Split(test.inputs[:7], {})
    task, seen = built.objective.task, {}

    def across(splits):
        seen.update(splits)
        return {"mean_logit_of_unlabelled": splits["unlabelled"]["logits"].mean()}

    task.test_metrics = across
    best = built.fit().best
    assert seen.keys() == {"validation", "test", "shifted", "unlabelled"}
    assert seen["unlabelled"].keys() == {"logits"} and {"logits", "targets"} <= seen["validation"].keys()
    assert best["test/mean_logit_of_unlabelled"] == pytest.approx(seen["unlabelled"]["logits"].mean().item())
    assert best["test/shifted/accuracy"] == classification_metrics(**_named(seen["shifted"]))["accuracy"].item()
    assert not any(key.startswith("test/unlabelled/") for key in best)
    assert len(seen["unlabelled"]["logits"]) == 7 and "shifted/accuracy" not in str(built.best)


def _named(tensors: dict) -> dict:
    return {name: tensors[name] for name in ("logits", "targets")}


def test_a_head_takes_the_place_of_the_models_own(tmp_path):
    """The body's initial weights are those without it; the whole run goes on with the new head, and is loaded so."""
    own, other = (trainer(tmp_path, f"head={name}", "budget.steps=3") for name in ("own", "cosine_classifier"))
    assert identical(weights(own.model.body), weights(other.model.body))
    assert type(other.model.head) is not type(own.model.head)
    ready = prepared(tmp_path, "head=cosine_classifier", "budget.steps=3")
    run.execute(ready)
    loaded = building.load_model(ready.folder)
    assert type(loaded.head) is type(other.model.head) and ready.config["choices"]["head"] == "cosine_classifier"
