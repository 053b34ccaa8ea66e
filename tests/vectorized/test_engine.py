"""A stack of runs leaves behind what the same runs leave one by one."""

import itertools
import time

import pytest
import torch

from lossbench import building, checkpoint, preparing, run
from lossbench.results import record as records
from lossbench.trainer import Interrupted
from lossbench.vectorized import engine, stack
from lossbench.vectorized.engine import bytes_per_run
from lossbench.vectorized.stack import enter
from tests.vectorized.support import (
    Watcher,
    assert_same,
    assert_stack_equals_singles,
    double,  # noqa: F401  (a fixture)
    one_by_one,
    variant,
    variants,
    weights,
)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=linear",),
        ("model=convnet", "model.widths=[8,8]", "model.groups=2"),
        ("model=convnet", "model.widths=[8,8]", "model.norm=batch"),
        ("model=vit", "model.width=16", "model.depth=1", "model.heads=2"),
        ("model=resnet18", "model.width=2"),
        ("clip_norm=0.3", "ema=0.9"),
        ("augmentation=[flip,crop,mixup]",),
        ("augmentation=[mixup]", "model=convnet", "model.widths=[8,8]", "model.norm=batch", "model.groups=2"),
        ("variant=[long_tailed]", "batch_size=32"),
    ],
    ids=" ".join,
)
def test_models_and_settings(overrides, double, tmp_path):  # noqa: F811
    # Two losses, so that there are two blocks, one with a second pass through the model; and two seeds, two rates.
    shorter = ("budget.steps=8", "evaluation.steps=4", *overrides)
    grid = [{"seed": s, "optimizer.lr": r} for s, r in ((0, 0.01), (1, 0.01), (1, 0.002))]
    runs = variants(tmp_path, shorter, grid)
    if "mixup" not in overrides[0]:
        runs += variants(tmp_path, (*shorter, "loss=virtual_adversarial"), grid[:2])
    # The gradient of attention's key biases is 0 but for rounding, which Adam makes a step of.
    assert_stack_equals_singles(tmp_path, runs, 1e-6 if "model=vit" in overrides else 1e-8)


def test_one_order_for_all(double, tmp_path):  # noqa: F811
    # With one seed the batch has no axis of runs.
    grid = [{"optimizer.lr": 0.01}, {"optimizer.lr": 0.003}]
    runs = [run for loss in ("center", "cross_entropy") for run in variants(tmp_path, (f"loss={loss}",), grid)]
    assert_stack_equals_singles(tmp_path, runs, 1e-9)


def on_features(tmp_path, seed):
    config = variant(tmp_path, (), {"seed": seed, "optimizer.weight_decay": 0.3}).config
    target = "lossbench.regularizers.feature_norm.feature_norm"
    return preparing.prepare({**config, "loss": {"_target_": target, "_partial_": True, "weight": 1.0}})


def test_unused_parameters(double, tmp_path):  # noqa: F811
    # A loss on features alone leaves the head without a gradient, which an optimizer does not even decay. Its
    # neighbours' losses must not change that, nor a regularizer that wants the weights.
    runs = [on_features(tmp_path, 0), on_features(tmp_path, 1)]
    runs += variants(tmp_path, (), [{"seed": 0, "optimizer.weight_decay": 0.3}, {"seed": 1}])
    runs += variants(tmp_path, ("regularizer=[l2_norm]", "loss=focal"), [{"seed": 0}])
    assert_stack_equals_singles(tmp_path, runs, 1e-9)


def test_one_optimizer_for_losses_with_different_gradients_is_refused(monkeypatch, tmp_path):
    # Blocks share an optimizer only where all of them use the whole model. Were that judged wrongly, the runs would go
    # alone rather than have the weights decay that a loss does not use.
    monkeypatch.setattr(stack, "_segment_key", lambda member: ("", member.segment_key))
    runs = [on_features(tmp_path, 0), variant(tmp_path, (), {"seed": 0, "optimizer.weight_decay": 0.3})]
    reasons = engine.train(runs)
    assert set(reasons) == {each.run for each in runs}
    assert all("different parts" in reason for reason in reasons.values())


def test_mixed_precision(tmp_path):
    # bfloat16 has three digits: what is compared is that passes were made in it, on weights that stayed float32.
    runs = variants(tmp_path, ("precision=bf16", "budget.steps=4", "evaluation.steps=4"), [{"seed": 0}, {"seed": 1}])
    assert engine.train(runs, Watcher()) == {}
    exact = variants(tmp_path, ("budget.steps=4", "evaluation.steps=4"), [{"seed": 0}, {"seed": 1}])
    engine.train(exact, Watcher())
    for half, single, full in zip(runs, one_by_one(runs, tmp_path / "singles"), exact, strict=True):
        loss, alone, other = (found.record["best"]["train/loss"] for found in (half, single, full))
        assert loss == pytest.approx(alone, rel=1e-3) and loss != other


DIVERGING = ("optimizer=sgd", "clip_norm=null", "loss=cross_entropy", "schedule=constant")


def test_divergence(double, tmp_path):  # noqa: F811
    # One run after another leaves, at different steps; the others are what they are without it.
    rates = (0.1, 1e300, 0.05, 1e160, 0.02)
    runs = variants(tmp_path, DIVERGING, [{"seed": i % 2, "optimizer.lr": rate} for i, rate in enumerate(rates)])
    assert_stack_equals_singles(tmp_path, runs, 1e-9)
    assert [each.record["status"] for each in runs] == ["completed", "diverged", "completed", "diverged", "completed"]
    assert all(each.record["steps"] < 20 for each in runs if each.record["status"] == "diverged")


def test_all_diverge(tmp_path):
    runs = variants(tmp_path, DIVERGING, [{"seed": seed, "optimizer.lr": 1e30} for seed in range(3)])
    assert_stack_equals_singles(tmp_path, runs)
    assert {each.record["status"] for each in runs} == {"diverged"}


def test_last_step_diverges(double, tmp_path):  # noqa: F811
    # A finite loss whose gradient overflows in the last step: the weights are looked at.
    short = (*DIVERGING, "budget.steps=1", "evaluation.steps=1")
    runs = variants(
        tmp_path, short, [{"optimizer.lr": 0.1}, {"optimizer.lr": 1e308, "loss.class_weights": [1e10] * 10}]
    )
    assert_stack_equals_singles(tmp_path, runs, 1e-9)
    assert "weights" in runs[1].record["error"]["message"]


# --- interruptions -------------------------------------------------------------------------------------------------

MEMORY = ("loss=early_learning", "augmentation=[flip]", "ema=0.9")
GRID = [{"seed": seed, "optimizer.lr": rate} for seed in (0, 1) for rate in (0.01, 0.003)]


def after(steps):
    """A ``stop`` that is true after so many steps."""
    calls = itertools.count(1)
    return lambda: next(calls) >= steps


def test_resume(tmp_path):
    whole, broken = (variants(tmp_path / name, MEMORY, GRID) for name in ("whole", "broken"))
    engine.train(whole, Watcher())
    with pytest.raises(Interrupted):
        engine.train(broken, Watcher(), after(7))
    assert not any(each.record for each in broken)
    with pytest.raises(Interrupted):
        engine.train(broken, Watcher(), after(6))
    assert engine.train(broken, Watcher()) == {}
    for ours, theirs in zip(broken, whole, strict=True):
        assert ours.record["resumed"] == 2 and theirs.record["resumed"] == 0
        assert_same(ours, theirs, 0)
        assert all(torch.equal(value, weights(ours)[name]) for name, value in weights(theirs).items())
        assert not checkpoint.checkpoints(ours.folder)


def test_resume_alone_and_in_other_company(double, tmp_path):  # noqa: F811
    # A checkpoint of a stack is one of the trainer, and the other way round.
    overrides = ("loss=center", "clip_norm=1.0")
    whole = one_by_one(variants(tmp_path / "broken", overrides, GRID), tmp_path / "whole")
    broken = variants(tmp_path / "broken", overrides, GRID)
    with pytest.raises(Interrupted):
        engine.train(broken[:3], Watcher(), after(7))
    run.execute(broken[0])
    with pytest.raises(Interrupted):
        run.execute(broken[3], stop=after(9))
    assert engine.train(broken, Watcher()) == {}
    for ours, theirs in zip(broken, whole, strict=True):
        assert ours.record["resumed"] == 1
        assert_same(ours, theirs, 1e-9)


def test_damaged_checkpoint(tmp_path):
    # The newest checkpoint of one run is damaged: all go back to the last step that all have.
    whole, broken = (variants(tmp_path / name, (), GRID) for name in ("whole", "broken"))
    engine.train(whole, Watcher())
    for steps in (5, 4):
        with pytest.raises(Interrupted):
            engine.train(broken, Watcher(), after(steps))
    newest = checkpoint.checkpoints(broken[1].folder)[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    watcher = Watcher()
    engine.train(broken, watcher)
    assert len(watcher.warnings) == 1 and "damaged" in watcher.warnings[0]
    for ours, theirs in zip(broken, whole, strict=True):
        assert_same(ours, theirs, 0)
        assert len(records.rows(ours.folder)) == 3


def test_diverged_before_interruption(tmp_path):
    # A run that has its record is no part of what goes on.
    runs = variants(tmp_path, DIVERGING, [{"optimizer.lr": rate} for rate in (0.1, 1e30, 0.05)])
    with pytest.raises(Interrupted):
        engine.train(runs, Watcher(), after(10))
    assert [bool(each.record) for each in runs] == [False, True, False]
    engine.train(runs, Watcher())
    singles = one_by_one(runs, tmp_path / "singles")
    for ours, theirs in zip(runs, singles, strict=True):
        assert_same(ours, theirs, 1e-4)


# --- what cannot be stacked ------------------------------------------------------------------------------------------


class Sent(engine.Silent):
    def __init__(self):
        self.reasons = {}
        self.warnings = []

    def alone(self, prepared, reason):
        self.reasons[prepared.run] = reason

    def warn(self, text):
        self.warnings.append(text)


def test_sent_away(tmp_path):
    # One whose schedule does not fit, one whose folder is another run's; the others are trained.
    runs = variants(
        tmp_path, (), [{"seed": 0}, {"seed": 1}, {"schedule.warmup": 0.9, "schedule.decay": 0.9}, {"seed": 2}]
    )
    runs[3].folder.mkdir(parents=True)
    (runs[3].folder / "record.json").write_text('{"status": "completed", "run": "another"}')
    watcher = Sent()
    reasons = engine.train(runs, watcher)
    assert reasons == watcher.reasons and list(reasons) == [runs[3].run, runs[2].run]
    assert "schedule.warmup" in reasons[runs[2].run] and "another" in reasons[runs[3].run]
    assert runs[0].record["status"] == runs[1].record["status"] == "completed"
    assert not runs[2].folder.exists() or runs[2].record is None


def test_locked(tmp_path):
    runs = variants(tmp_path, (), [{"seed": 0}, {"seed": 1}])
    with run.locked(runs[0].folder):
        reasons = engine.train(runs, Sent())
    assert "another process" in reasons[runs[0].run] and runs[1].record["status"] == "completed"


def test_not_for_vmap(tmp_path):
    # A loss that looks at its values cannot be traced: its runs are sent away before anything is written about them.
    runs = [_looking(tmp_path, seed) for seed in (0, 1)]
    reasons = engine.train(runs, Sent())
    assert set(reasons) == {each.run for each in runs} and not any(each.record for each in runs)


def _looking(outputs, seed):
    config = variant(outputs, (), {"seed": seed}).config
    return preparing.prepare({**config, "loss": {"_target_": f"{__name__}.looks", "_partial_": True}})


def looks(logits, targets):
    values = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return values if values.sum() > 0 else -values


def test_memory(tmp_path, monkeypatch):
    # With room for two and a half runs, five are trained as three programs, and nothing else changes.
    runs = variants(tmp_path, (), [{"seed": seed} for seed in range(5)])
    member, model = enter(runs[0], building.build(runs[0].config, torch.device("cpu")))
    room = int(2.5 * bytes_per_run(member, model) / engine.MEMORY_SHARE)
    monkeypatch.setattr(engine, "_free_memory", lambda device: room)
    programs = []
    stack = engine.Stack
    monkeypatch.setattr(engine, "Stack", lambda members, *rest: programs.append(len(members)) or stack(members, *rest))
    assert engine.train(runs, Watcher()) == {}
    assert sorted(programs) == [1, 2, 2]
    for ours, theirs in zip(runs, one_by_one(runs, tmp_path / "singles"), strict=True):
        assert_same(ours, theirs, 1e-4)


def test_shares(tmp_path):
    # The shares of the time add up to the program's, and a run that left early has a small one.
    runs = variants(tmp_path, (*DIVERGING, "evaluation.steps=20"), [{"optimizer.lr": r} for r in (0.1, 0.05, 1e30)])
    began = time.perf_counter()
    engine.train(runs, Watcher())
    passed = time.perf_counter() - began
    times = [each.record["time"] for each in runs]
    assert 0.5 * passed < sum(t["wall_seconds"] for t in times) <= passed
    assert 0 < times[2]["train_seconds"] < times[0]["train_seconds"] == pytest.approx(times[1]["train_seconds"])
    assert all(each.record["shared_device"] for each in runs)
    assert times[0]["steps_per_second"] == pytest.approx(20 / times[0]["train_seconds"])
