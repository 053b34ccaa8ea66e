"""profile=true: a table and a trace of where the time went, and nothing else is different."""

import json

import pytest
import torch

from lossbench import cli, profiling, run
from lossbench.results import record as records
from lossbench.vectorized.grouping import why_alone
from tests.engine import prepared, trainer
from tests.vectorized.support import weights

SMALL = ("budget.steps=60", "evaluation.steps=20", "checkpoint.seconds=0")


def table(text: str) -> dict[str, float]:
    """{part: seconds}"""
    lines = [line.split() for line in text.splitlines()]
    return {
        line[0]: float(line[1]) for line in lines if len(line) > 2 and line[0] in (*profiling.PARTS, "other", "all")
    }


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("accumulation=2", "clip_norm=1.0", "augmentation=[gaussian_noise]"),
        ("optimizer=sam",),
        ("loss=early_learning", "model.dropout=0.2", "ema=0.9"),
    ],
    ids=["plain", "micro_batches", "closure", "memory"],
)
def test_results_stay_the_same(overrides, tmp_path):
    plain = prepared(tmp_path / "plain", *SMALL, *overrides)
    profiled = prepared(tmp_path / "profiled", *SMALL, *overrides, "profile=true")
    assert profiled.run == plain.run
    expected, found = run.execute(plain), run.execute(profiled)
    for key, tensor in weights(plain).items():
        assert torch.equal(weights(profiled)[key], tensor)
    for ours, theirs in zip(records.rows(profiled.folder), records.rows(plain.folder), strict=True):
        assert {k: v for k, v in ours.items() if k != "seconds"} == {k: v for k, v in theirs.items() if k != "seconds"}
    assert found["best"].keys() == expected["best"].keys()
    parts = table((profiled.folder / "profile.txt").read_text())
    assert parts.keys() == {*profiling.PARTS, "other", "all"} and all(seconds >= 0 for seconds in parts.values())
    assert sum(parts.values()) == pytest.approx(2 * parts["all"], rel=0.02, abs=0.005)  # rounded to milliseconds
    assert found["time"]["train_seconds"] < parts["all"] + 0.2  # the time of the trace is nobody's
    assert not {"profile.txt", "trace.json"} & {path.name for path in plain.folder.iterdir()}


def test_each_part_has_its_own_time(tmp_path, monkeypatch):
    """What is made slow shows in its part alone."""
    made = trainer(tmp_path, *SMALL, "checkpoint.seconds=null", "augmentation=[gaussian_noise]")
    clock = [0.0]
    monkeypatch.setattr(profiling.time, "perf_counter", lambda: clock[0])

    def slow(owner, name, seconds):
        function = getattr(owner, name)

        def slowed(*arguments, **named):
            clock[0] += seconds
            return function(*arguments, **named)

        setattr(owner, name, slowed)

    slow(made.source, "augmented", 1)
    slow(made, "_evaluate_objective", 20)  # its own time is the loss's, not that of the passes through the model
    slow(made, "_backward", 300)
    slow(made, "optimizer_step", 4000)
    slow(made, "measure", 50_000)
    slow(made, "report", 600_000)
    body = made.network.body
    made.network = made.network._replace(body=lambda x: (clock.__setitem__(0, clock[0] + 7e6), body(x))[1])
    made.settings = made.settings.__class__(**{**vars(made.settings), "steps": 60})
    profiling.fit(made, None)
    found = table((tmp_path / "profile.txt").read_text())
    steps = 60 - profiling.TRACED
    evaluated = 2 * (50_000 + 7e6) + 7e6  # one batch a split: two evaluations outside the trace, the test split
    expected = {"data": steps, "loss": 20 * steps, "backward": 300 * steps, "optimizer": 4000 * steps}
    expected |= {"forward": 7e6 * steps, "logging": 600_000 * 2, "other": 0.0}
    for part, seconds in expected.items():
        assert found[part] == pytest.approx(seconds, rel=1e-6, abs=2), part
    assert found["evaluation"] >= evaluated


def test_trace(tmp_path):
    one = prepared(tmp_path, *SMALL, "profile=true")
    run.execute(one)
    events = json.loads((one.folder / "trace.json").read_text())["traceEvents"]
    marks = [event["name"] for event in events if event.get("cat") == "user_annotation"]
    for part in ("forward", "loss", "backward", "optimizer", "data"):
        assert marks.count(part) >= profiling.TRACED - 1, part
    assert "evaluation" in marks


def test_a_run_that_ends_while_it_is_traced(tmp_path):
    one = prepared(tmp_path, "budget.steps=15", "profile=true")
    assert run.execute(one)["status"] == "completed"
    json.loads((one.folder / "trace.json").read_text())
    short = prepared(tmp_path, "budget.steps=3", "profile=true")
    run.execute(short)
    assert not (short.folder / "trace.json").exists() and table((short.folder / "profile.txt").read_text())["all"] > 0


def test_command_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["train", *SMALL, "profile=true", f"outputs={tmp_path}"])
    assert end.value.code == 0
    printed = capsys.readouterr()
    assert set(profiling.PARTS) <= table(printed.out).keys() and "USDT" not in printed.err


def test_goes_alone(tmp_path):
    assert why_alone(prepared(tmp_path, "profile=true").config) == "profile=true"
    assert why_alone(prepared(tmp_path).config) is None
