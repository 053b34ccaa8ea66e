"""Which runs share a program."""

import pytest

from lossbench.vectorized.grouping import MOST_RUNS, announcement, split, why_alone
from tests.vectorized.support import variant, variants


def divided(runs, slots=1, stack=None):
    pending = {10 * line: prepared for line, prepared in enumerate(runs)}
    stacks, alone, reasons = split(pending, slots, stack)
    lines = sorted([line for part in stacks for line in part] + list(alone))
    assert lines == sorted(pending)  # every run once
    assert all(pending[line] is prepared for part in [*stacks, alone] for line, prepared in part.items())
    assert sum(reasons.values()) == len(alone)
    return [sorted(part) for part in stacks], list(alone), reasons


def test_what_may_differ(tmp_path):
    runs = [
        variant(tmp_path, (), {}),
        variant(tmp_path, (), {"seed": 7, "optimizer.lr": 0.5, "optimizer.betas": [0.1, 0.2]}),
        variant(tmp_path, ("loss=focal", "reduction=cvar", "regularizer=[l2_norm]"), {"loss.gamma": 9.0}),
        variant(tmp_path, ("optimizer=sgd", "schedule=cosine"), {"weight_decay_on_all": True}),
    ]
    assert divided(runs) == ([[0, 10, 20, 30]], [], {})


@pytest.mark.parametrize(
    "overrides",
    [
        ("dataset=wine",),
        ("dataset=diabetes", "loss=huber"),
        ("model=linear",),
        ("model.widths=[64]",),
        ("variant=[long_tailed]",),
        ("augmentation=[flip]",),
        ("precision=bf16",),
        ("batch_size=32",),
        ("budget.steps=21",),
        ("evaluation.steps=5",),
        ("evaluation.batch_size=7",),
        ("data_seed=1",),
        ("clip_norm=1.0",),
        ("ema=0.9",),
        ("threads=2",),
        ("deterministic=true",),
        ("selection.metric=nll",),
        ("checkpoint.seconds=5",),
    ],
    ids=" ".join,
)
def test_what_may_not_differ(overrides, tmp_path):
    runs = variants(tmp_path, (), [{"seed": 0}, {"seed": 1}]) + variants(
        tmp_path, overrides, [{"seed": 0}, {"seed": 1}]
    )
    assert divided(runs) == ([[0, 10], [20, 30]], [], {})
    assert divided(runs[1:]) == ([[10, 20]], [0], {"no other run shares its data, model, batch and steps": 1})


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (("optimizer=lbfgs",), "optimizer=lbfgs"),
        (("optimizer=sam",), "optimizer=sam"),
        (("optimizer=adafactor",), "optimizer=adafactor"),
        (("budget.steps=null", "budget.seconds=3"), "budget.seconds"),
        (("accumulation=2",), "accumulation=2"),
        (("model.dropout=0.1",), "dropout"),
        (("profile=true",), "profile"),
        (("precision=fp16",), "precision=fp16"),
        (("data.resident=false",), "resident"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_alone(overrides, word, tmp_path):
    runs = variants(tmp_path, overrides, [{"seed": 0}, {"seed": 1}])
    stacks, alone, reasons = divided([*variants(tmp_path, (), [{"seed": 0}, {"seed": 1}]), *runs])
    assert stacks == [[0, 10]] and alone == [20, 30]
    (reason,) = reasons
    assert word in reason and reasons[reason] == 2
    assert announcement([{0: runs[0], 1: runs[1]}], reasons) == [
        "vectorized: 2 runs in one program of 2",
        f"one by one: 2 of the runs ({reason})",
    ]


def test_parts(tmp_path):
    runs = variants(tmp_path, (), [{"seed": s, "optimizer.lr": r} for s in range(10) for r in (0.1, 0.2, 0.3, 0.4)])
    assert [len(part) for part in divided(runs)[0]] == [20, 20] and MOST_RUNS == 32
    assert [len(part) for part in divided(runs, slots=4)[0]] == [10] * 4
    assert [len(part) for part in divided(runs[:4], slots=2)[0]] == [2, 2]
    assert [len(part) for part in divided(runs[:3], slots=8)[0]] in ([2, 1], [3])
    assert max(len(part) for part in divided(runs, stack=7)[0]) == 7
    # Runs with the same hyper-parameters stay together: one optimizer for many rows.
    rates = [{runs[line // 10].config["optimizer"]["lr"] for line in part} for part in divided(runs, slots=4)[0]]
    assert all(len(found) == 1 for found in rates)


def test_groups_of_their_own_are_not_split_further(tmp_path):
    # Where there are groups enough for all slots, each is one program.
    runs = [
        run
        for size in (16, 32, 64)
        for run in variants(tmp_path, (f"batch_size={size}",), [{"seed": s} for s in range(3)])
    ]
    assert [len(part) for part in divided(runs, slots=2)[0]] == [3, 3, 3]


def test_known_reasons_only(tmp_path):
    assert why_alone(variant(tmp_path, ("model=vit", "model.dropout=0.0"), {}).config) is None
