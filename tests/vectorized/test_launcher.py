"""`lossbench train -m ... hydra/launcher=vectorized`, from the command line to the tables."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossbench import cli
from lossbench.results import record as records

FIXED = ("hydra/launcher=vectorized", "budget.steps=20", "evaluation.steps=10", "batch_size=64")


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    return tmp_path


def lossbench(*arguments):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code


def found(outputs):
    return [json.loads(path.read_text()) for path in sorted((outputs / "runs").rglob("record.json"))]


def test_sweep(outputs, capsys):
    # lbfgs has no learning rate 0.01 that helps: what matters is that it went alone, and is there.
    sweep = ("-m", "loss=cross_entropy,focal", "optimizer=adamw,lbfgs", "optimizer.lr=0.01,0.003", "seed=0,1", *FIXED)
    assert lossbench("train", *sweep, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "vectorized: 8 runs" in printed
    assert "one by one: 8 of the runs (optimizer=lbfgs does not treat every weight by itself)" in printed
    assert lossbench("train", *sweep) == 0
    printed = capsys.readouterr().out
    assert printed.count("] completed digits/mlp/") == 16 and "[16/16]" in printed
    every = found(outputs)
    assert len(every) == 16 and {record["status"] for record in every} == {"completed"}
    assert {r["choices"]["optimizer"] for r in every if r["shared_device"] and r["time"]["wall_seconds"]} >= {"adamw"}
    before = {path: path.stat().st_mtime_ns for path in outputs.rglob("record.json")}
    assert lossbench("train", *sweep) == 0
    assert {path: path.stat().st_mtime_ns for path in outputs.rglob("record.json")} == before
    capsys.readouterr()

    assert lossbench("collect") == 0
    assert "16 runs" in capsys.readouterr().out
    where = ("--where", "optimizer=adamw", "--where", "optimizer.lr=0.01")
    assert lossbench("compare", "--by", "loss", "--baseline", "cross_entropy", "--metric", "test/accuracy", *where) == 0
    assert "focal" in capsys.readouterr().out


def test_divergence(outputs, capsys):
    code = lossbench("train", "-m", "optimizer=sgd", "optimizer.lr=0.1,1e30", "seed=0,1", *FIXED)
    printed = capsys.readouterr().out
    assert code == 1 and "2 completed" in printed and "2 diverged" in printed
    for record in found(outputs):
        assert (record["status"] == "diverged") == (record["config"]["optimizer"]["lr"] > 1)


def test_what_only_shows_when_it_is_built(outputs, capsys):
    # A schedule that does not fit its budget: the run goes alone, and says what is wrong as it always does.
    code = lossbench("train", "-m", "schedule.decay=0.2,0.9", "schedule.warmup=0.3", "seed=0,1", *FIXED)
    captured = capsys.readouterr()
    assert code == 1 and captured.err.count("goes alone: UsageError: schedule.warmup=0.3 and schedule.decay=0.9") == 2
    by_decay = {(r["config"]["schedule"]["decay"], r["status"]) for r in found(outputs)}
    assert by_decay == {(0.2, "completed"), (0.9, "failed")}
    assert all("schedule.decay" in r["error"]["message"] for r in found(outputs) if r["status"] == "failed")


LONG = ("-m", "seed=range(0,6)", "budget.steps=600", "evaluation.steps=200", "checkpoint.seconds=0.05", FIXED[0])


def start(outputs):
    code = "import sys; from lossbench import cli; cli.main(sys.argv[1:])"
    environment = {**os.environ, "LOSSBENCH_OUTPUTS": str(outputs)}
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", *LONG, "hydra.launcher.slots=1"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_checkpoints(outputs, process):
    for _ in range(600):
        if len(list(outputs.rglob("checkpoint-*.pt"))) >= 6 or process.poll() is not None:
            return
        time.sleep(0.02)
    pytest.fail("no checkpoint was written")


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("undisturbed")
    start(outputs).communicate(timeout=60)
    return found(outputs)


@linux
@pytest.mark.parametrize("victim", ["sweep", "program"])
def test_kill(victim, undisturbed, outputs):
    process = start(outputs)
    wait_for_checkpoints(outputs, process)
    if victim == "sweep":  # and the same command again
        process.kill()
        process.communicate()
        assert not found(outputs)
        process = start(outputs)
    else:  # its runs go on one by one
        (server,) = children(process.pid)
        (program,) = children(server)
        os.kill(program, signal.SIGKILL)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert ("a program of 6 runs ended with signal SIGKILL; 6 go alone" in printed) == (victim == "program")
    every = found(outputs)
    assert len(every) == 6 and all(r["status"] == "completed" and r["resumed"] == 1 for r in every)
    for ours, theirs in zip(every, undisturbed, strict=True):
        assert ours["run"] == theirs["run"] and theirs["resumed"] == 0
        assert len(records.rows(outputs / "runs" / ours["folder"])) == 4
        if victim == "sweep":  # the same program again: not a bit differs
            assert {**ours["best"], "seconds": 0} == {**theirs["best"], "seconds": 0}
        else:
            assert ours["best"]["test/nll"] == pytest.approx(theirs["best"]["test/nll"], rel=1e-2)


@linux
def test_interrupt(outputs):
    process = start(outputs)
    wait_for_checkpoints(outputs, process)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert not found(outputs) and len({p.parent for p in outputs.rglob("checkpoint-*.pt")}) == 6


def test_time_limit(outputs, capsys):
    # The limit is a run's; a program of three has three times as long.
    code = lossbench(
        "train", "-m", "seed=0,1,2", "budget.steps=1000000", "time_limit=0.4", FIXED[0], "hydra.launcher.slots=1"
    )
    assert code == 1
    every = found(outputs)
    assert [r["status"] for r in every] == ["timed_out"] * 3
    assert "0.4 s was reached by 3 runs in one program" in every[0]["error"]["message"]
