"""Ctrl-C once, twice, and a parent that is killed: nothing is lost, and no process is left."""

import json
import os
import signal
import sys
import time
import uuid

import pytest

from tests.sweep.support import family, records, stamps, train, until, user  # noqa: F401

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

RUNS = ["loss=slow", "loss.seconds=0.03", "seed=range(0,5)", "budget.steps=30", "evaluation.steps=5",
        "hydra.launcher.slots=2"]  # fmt: skip


@pytest.fixture
def command(user, tmp_path):  # noqa: F811
    """A function that starts the sweep; whatever is left of it at the end is killed."""
    mark = uuid.uuid4().hex
    yield lambda *more: train(user, tmp_path / "outputs", *RUNS, *more, mark=mark)
    for pid in family(mark):
        os.kill(pid, signal.SIGKILL)


def has_rows(tmp_path):
    return list(tmp_path.rglob("metrics.jsonl")) and any(p.stat().st_size for p in tmp_path.rglob("metrics.jsonl"))


@pytest.mark.parametrize("whole_group", [False, True])
def test_once_is_a_clean_end(command, tmp_path, whole_group):
    running = command()
    until(lambda: stamps(tmp_path / "outputs") and len(running.workers()) == 2)
    until(
        lambda: any(
            not (p.parent / "record.json").exists() and p.stat().st_size for p in tmp_path.rglob("metrics.jsonl")
        )
    )
    (os.killpg if whole_group else os.kill)(running.process.pid, signal.SIGINT)
    code, printed = running.wait()
    assert code == 130, printed
    assert "stopping: running runs write a checkpoint" in printed and "Traceback" not in printed
    assert "not run" in printed and "the same command goes on with the rest" in printed
    assert family(running.mark) == []
    finished = stamps(tmp_path / "outputs")
    waiting = list((tmp_path / "outputs").rglob("checkpoint-*.pt"))
    assert 0 < len(finished) < 5 and len(records(tmp_path / "outputs")) == len(finished)
    assert 1 <= len(waiting) <= 2

    again = command()
    code, printed = again.wait()
    assert code == 0, printed
    assert f"{len(finished)} finished before" in printed
    assert finished.items() <= stamps(tmp_path / "outputs").items()
    resumed = [record["resumed"] for record in records(tmp_path / "outputs")]
    assert len(resumed) == 5 and sum(resumed) == len(waiting)


def test_twice_is_an_end_at_once(command, tmp_path):
    running = command("loss.seconds=30")  # a step takes longer than anybody waits
    until(lambda: len(running.workers()) == 2 and list(tmp_path.rglob("config.yaml")))
    time.sleep(0.2)
    os.kill(running.process.pid, signal.SIGINT)
    time.sleep(1.0)
    os.kill(running.process.pid, signal.SIGINT)
    began = time.monotonic()
    code, printed = running.wait()
    assert code == 130 and time.monotonic() - began < 6, printed
    assert "Traceback" not in printed
    until(lambda: family(running.mark) == [], 2)


def test_a_terminated_parent_ends_cleanly_too(command, tmp_path):
    running = command()
    until(lambda: has_rows(tmp_path))
    os.kill(running.process.pid, signal.SIGTERM)
    code, printed = running.wait()
    assert code == 130 and "stopping" in printed, printed
    assert family(running.mark) == []


@pytest.mark.parametrize("moment", ["starting", "running", "reading"])
def test_a_killed_parent_leaves_no_process(command, tmp_path, moment):
    reading = ["data.resident=false", "data.workers=2"] if moment == "reading" else []
    running = command("checkpoint.seconds=0", *reading)
    if moment != "starting":
        until(lambda: has_rows(tmp_path) and running.workers())
        # The parent, the server, workers; and their own processes that read data.
        assert len(family(running.mark)) >= (6 if reading else 3)
    else:
        until(lambda: len(family(running.mark)) == 2)
    os.kill(running.process.pid, signal.SIGKILL)
    seconds = until(lambda: family(running.mark) == [], 5)
    assert seconds < 2
    running.process.communicate()
    finished = stamps(tmp_path / "outputs")
    if reading:
        return
    code, printed = command().wait()
    assert code == 0, printed
    assert finished.items() <= stamps(tmp_path / "outputs").items() and len(stamps(tmp_path / "outputs")) == 5
    assert not list(tmp_path.rglob(".*.tmp")) and not list(tmp_path.rglob(".lock"))


def test_a_killed_server_is_replaced(command, tmp_path):
    running = command("checkpoint.seconds=0")
    until(lambda: has_rows(tmp_path) and len(running.workers()) == 2)
    workers = running.workers()
    (server,) = [pid for pid in running.family() if pid != running.process.pid and pid not in workers]
    os.kill(server, signal.SIGKILL)
    until(lambda: not set(workers) & set(running.family()), 2)
    code, printed = running.wait()
    assert code == 0, printed
    assert "was killed; starting another one" in printed
    found = records(tmp_path / "outputs")
    assert len(found) == 5 and sum(record["resumed"] for record in found) >= 1


def test_two_at_the_same_time_share_the_work(user, tmp_path):  # noqa: F811
    """Neither does a run that the other has done or is doing."""
    mark = uuid.uuid4().hex
    arguments = ["loss=counts", "seed=range(0,8)", "budget.steps=15", "hydra.launcher.slots=2"]
    pair = [train(user, tmp_path / "outputs", *arguments, mark=mark, COUNT=str(tmp_path / "count")) for _ in range(2)]
    for running in pair:
        code, printed = running.wait()
        assert code == 0 and "8 completed" in printed, printed
    assert len((tmp_path / "count").read_text().splitlines()) == 8
    rows = [json.loads(line) for path in tmp_path.rglob("metrics.jsonl") for line in path.read_text().splitlines()]
    assert len([row for row in rows if "test/accuracy" in row]) == 8
