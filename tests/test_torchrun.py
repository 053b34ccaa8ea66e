"""`torchrun -m lossbench train`: one voice, one folder, kills, failures, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lossbench import checkpoint, cli
from lossbench.results import record as records
from tests.test_distributed import ROOT, TORCHRUN, torchrun

LONG = ("budget.steps=400", "evaluation.steps=100", "checkpoint.seconds=0.2", "model.dropout=0.2")


def train(outputs: Path, *overrides: str) -> list[str]:
    return ["-m", "lossbench", "train", f"outputs={outputs}", *overrides]


def folder(outputs: Path) -> Path:
    (found,) = outputs.glob("runs/*/*/*/*")
    return found


def record(outputs: Path) -> dict:
    return json.loads((folder(outputs) / "record.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("undisturbed")
    done = torchrun(*train(outputs, *LONG))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("completed: 400 steps") == 1 and done.stdout.count("step 400") == 1
    assert str(folder(outputs)) in done.stdout and "rank" not in done.stderr
    return outputs


def same_end(outputs: Path, other: Path) -> bool:
    rows = [[{**row, "seconds": 0} for row in records.rows(folder(each))] for each in (outputs, other)]
    weights = [checkpoint.read(folder(each) / "weights.pt")["model"] for each in (outputs, other)]
    return rows[0] == rows[1] and all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])


def ranks_of(agent: subprocess.Popen) -> Iterator[int]:
    """Process numbers of the ranks, the first one first."""
    text = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text()
    yield from sorted(map(int, text.split()))


def started(outputs: Path, *overrides: str) -> subprocess.Popen:
    """Training, and past its first checkpoint."""
    agent = subprocess.Popen(
        [*TORCHRUN, *train(outputs, *overrides)], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not list(outputs.glob("runs/*/*/*/*/checkpoint-*.pt")) and agent.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    return agent


def test_one_record_of_both(undisturbed):
    found = record(undisturbed)
    assert found["status"] == "completed" and found["environment"]["ranks"] == 2
    assert found["examples"] == 400 * found["config"]["batch_size"]
    assert found["config"]["device"] == "cpu" and not list(folder(undisturbed).glob("checkpoint*"))


@pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in /proc")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_ends_all_and_the_run_goes_on(victim, undisturbed, tmp_path):
    agent = started(tmp_path, *LONG)
    ranks = list(ranks_of(agent))
    os.kill(ranks[victim], signal.SIGKILL)
    begun = time.monotonic()
    _, errors = agent.communicate(timeout=60)
    assert agent.returncode != 0 and time.monotonic() - begun < 45
    assert not any(Path(f"/proc/{rank}").exists() for rank in ranks), errors
    if victim == 0:  # one of both will do
        return
    done = torchrun(*train(tmp_path, *LONG))
    assert done.returncode == 0 and "resumed at step" in done.stdout
    assert record(tmp_path)["resumed"] == 1 and same_end(tmp_path, undisturbed)


def test_a_stop_is_a_checkpoint(tmp_path, capsys):
    """Ctrl-C reaches torchrun and all ranks, and torchrun hands it on once more."""
    agent = started(tmp_path, *LONG)
    for process in (*ranks_of(agent), agent.pid):
        os.kill(process, signal.SIGINT)
    _, errors = agent.communicate(timeout=60)
    assert agent.returncode != 0 and not list(tmp_path.glob("runs/*/*/*/*/record.json"))
    assert "the same command goes on from there" in errors
    with pytest.raises(SystemExit) as end:  # one process takes over
        cli.main(train(tmp_path, *LONG)[2:])
    assert end.value.code == 0 and "trained by 2 processes until here and by 1 from here on" in capsys.readouterr().err
    assert record(tmp_path)["resumed"] == 1 and "ranks" not in record(tmp_path)["environment"]


def test_the_failure_of_a_rank_is_told(tmp_path):
    failing = ("loss=polyloss", "loss._target_=tests.ranks.fails_on_rank_1", "budget.steps=20")
    done = torchrun(*train(tmp_path, *failing), PYTHONPATH=str(ROOT))
    assert done.returncode != 0
    assert "rank 1: ArithmeticError: not on this rank" in done.stderr
    found = record(tmp_path)
    assert found["status"] == "failed" and found["error"]["message"] == "rank 1: ArithmeticError: not on this rank"


def test_a_refusal_is_said_once(tmp_path):
    message = "batch_size=31 is the whole batch, and 2 processes with accumulation=1 cannot divide it"
    done = torchrun(*train(tmp_path, "batch_size=31"))
    lines = [line for line in done.stderr.splitlines() if line.startswith("lossbench: ")]
    assert len(lines) == 1 and message in lines[0], done.stderr
    assert done.returncode != 0 and not list(tmp_path.glob("runs/*/*/*/*"))


def test_what_takes_several_processes(tmp_path, capsys, monkeypatch):
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "shard=true", f"outputs={tmp_path}"])
    assert end.value.code == 2
    assert "shard=true divides a model among processes: torchrun" in capsys.readouterr().err
    for name, value in (("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "-m", "seed=0,1", f"outputs={tmp_path}"])
    assert end.value.code == 2 and "torchrun trains one run on several devices" in capsys.readouterr().err
