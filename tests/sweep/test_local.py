"""The local launcher, with real processes: what fails is its own loss only, and it is said which and why."""

import json
import os
from pathlib import Path

import pytest

from lossbench import preparing, run
from lossbench.sweep import plan as plans
from tests.sweep.support import records, results, same_results, stamps, sweep, user  # noqa: F401

HARMLESS = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 14, 15, 16, 17, 18, 19}


def kinds(outputs, *statuses):
    return {r["config"]["loss"]["kind"] for r in records(outputs) if r["status"] in statuses}


def test_four_that_go_wrong_among_twenty(user, tmp_path, capfd, monkeypatch):  # noqa: F811
    """One fails, one diverges, one crashes, one hangs; then retry=failed does three of them again and no other."""
    outputs = tmp_path / "outputs"
    arguments = ["loss=misbehaving", "loss.kind=range(0,20)", "budget.steps=1"]
    assert sweep(user, outputs, *arguments, "time_limit=6", "hydra.launcher.grace=0.3") == 1
    printed = capfd.readouterr()

    assert kinds(outputs, "completed") == HARMLESS
    by_kind = {record["config"]["loss"]["kind"]: record for record in records(outputs)}
    assert [by_kind[k]["status"] for k in (3, 7, 11, 13)] == ["failed", "diverged", "failed", "timed_out"]
    assert by_kind[3]["error"]["type"] == "ValueError" and "kind 3 cannot be had" in by_kind[3]["error"]["traceback"]
    assert by_kind[7]["error"]["type"] == "Diverged"
    assert by_kind[11]["error"]["message"] == "the process ended with signal SIGSEGV"
    assert "last words" in by_kind[11]["error"]["traceback"]  # what it printed, and where Python was
    assert "in misbehaving" in by_kind[11]["error"]["traceback"]
    assert by_kind[13]["error"]["message"] == "the time limit of 6 s was reached"
    assert all(record.keys() == by_kind[0].keys() for record in by_kind.values())

    lines = printed.out.splitlines()
    assert sum(line.startswith("[") for line in lines) == 20 and any(line.startswith("[20/20]") for line in lines)
    assert "16 completed, 1 diverged, 2 failed, 1 timed_out" in lines
    listed = printed.out[printed.out.index("16 completed") :]
    reasons = {
        3: "ValueError: kind 3 cannot be had",
        7: "Diverged: the training loss is nan",
        11: "ProcessDied: the process ended with signal SIGSEGV",
        13: "TimeLimit: the time limit of 6 s was reached",
    }
    for kind, reason in reasons.items():
        assert f"{by_kind[kind]['folder']}\n    {reason}" in listed
    assert "more of it" not in listed and "noise of a worker" not in printed.out + printed.err
    logs = sorted(path.parent.relative_to(outputs / "runs") for path in outputs.rglob("output.log"))
    assert list(map(str, logs)) == sorted(by_kind[kind]["folder"] for kind in (3, 11, 13))

    before = stamps(outputs) | stamps(outputs, "diverged")
    monkeypatch.setenv("HARMLESS", "1")
    assert sweep(user, outputs, *arguments, "retry=failed") == 1  # the diverged one is still there
    printed = capfd.readouterr()
    assert "20 runs, 17 finished before, 3 to do" in printed.out
    assert "19 completed, 1 diverged" in printed.out
    assert len(before) == 17 and before.items() <= (stamps(outputs) | stamps(outputs, "diverged")).items()
    assert not list(outputs.rglob("output.log"))
    assert sweep(user, outputs, *arguments, "retry=failed") == 1 and "0 to do" in capfd.readouterr().out


def test_retry_failed_does_not_start_what_was_never_begun(user, tmp_path, capfd):  # noqa: F811
    arguments = ["loss=misbehaving", "budget.steps=1"]
    assert sweep(user, tmp_path, *arguments, "loss.kind=3") == 1
    assert sweep(user, tmp_path, *arguments, "loss.kind=3,4,5", "retry=failed") == 1
    assert "3 runs, 0 finished before, 1 to do" in capfd.readouterr().out
    assert [record["config"]["loss"]["kind"] for record in records(tmp_path)] == [3]


def test_fail_fast_stops_after_so_many_equal_failures(user, tmp_path, capfd):  # noqa: F811
    arguments = ["loss=misbehaving", "loss.kind=3", "seed=range(0,30)", "budget.steps=1", "hydra.launcher.slots=1"]
    assert sweep(user, tmp_path, *arguments, "fail_fast=2") == 1
    printed = capfd.readouterr()
    assert len(records(tmp_path)) == 2
    assert "2 failed, 28 not run" in printed.out
    assert "2 runs failed with ValueError: kind 3 cannot be had" in printed.err


def test_different_failures_do_not_add_up(user, tmp_path):  # noqa: F811
    arguments = ["loss=misbehaving", "loss.kind=3,11,0", "budget.steps=1", "hydra.launcher.slots=1"]
    assert sweep(user, tmp_path, *arguments, "fail_fast=2", "hydra.launcher.retries=0") == 1
    assert sorted(record["status"] for record in records(tmp_path)) == ["completed", "failed", "failed"]


def test_a_killed_worker_goes_on_from_its_checkpoint(user, tmp_path, capfd, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MARKER", str(tmp_path / "marker"))
    arguments = ["loss=dies_once", "budget.steps=12", "checkpoint.seconds=0", "seed=3"]
    assert sweep(user, tmp_path / "killed", *arguments) == 0
    assert "its process ended with signal SIGKILL; trying again" in capfd.readouterr().err
    (record,) = records(tmp_path / "killed")
    assert record["resumed"] == 1 and record["steps"] == 12
    assert sweep(user, tmp_path / "undisturbed", *arguments) == 0  # the marker is there now
    assert records(tmp_path / "undisturbed")[0]["resumed"] == 0
    assert same_results(results(tmp_path / "killed"), results(tmp_path / "undisturbed"))


def test_without_retries_a_killed_worker_is_a_failure_and_the_next_command_goes_on(user, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MARKER", str(tmp_path / "marker"))
    arguments = ["loss=dies_once", "budget.steps=12", "checkpoint.seconds=0", f"outputs={tmp_path}"]
    assert sweep(user, tmp_path, *arguments, "hydra.launcher.retries=0") == 1
    (record,) = records(tmp_path)
    assert record["status"] == "failed" and record["error"]["message"] == "the process ended with signal SIGKILL"
    assert sweep(user, tmp_path, *arguments, "retry=failed") == 0
    (record,) = records(tmp_path)
    assert record["status"] == "completed" and record["resumed"] == 1


def test_a_time_limit_leaves_a_checkpoint(user, tmp_path):  # noqa: F811
    arguments = ["loss=slow", "loss.seconds=0.1", "budget.steps=25"]
    assert sweep(user, tmp_path, *arguments, "time_limit=1") == 1
    (record,) = records(tmp_path)
    assert record["status"] == "timed_out" and 0 < record["steps"] < 25 and record["time"]["wall_seconds"] >= 1
    assert sweep(user, tmp_path, *arguments, "retry=failed") == 0
    (record,) = records(tmp_path)
    assert record["status"] == "completed" and record["resumed"] == 1 and record["steps"] == 25
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_a_yaml_edited_in_mid_sweep_changes_nothing(user, tmp_path, monkeypatch):  # noqa: F811
    path = user / "loss" / "edits_its_config.yaml"
    monkeypatch.setenv("CONFIG", str(path))
    assert sweep(user, tmp_path, "loss=edits_its_config", "seed=range(0,6)", "budget.steps=2") == 0
    assert "weight: 9.0" in path.read_text()
    assert [record["config"]["loss"]["weight"] for record in records(tmp_path)] == [1.0] * 6
    for prepared in plans.read(next(tmp_path.rglob("plan.jsonl"))):
        assert prepared.record["run"] == prepared.run and prepared.record["config"] == prepared.config
    rates = {json.dumps(record["best"]["train/loss"]) for record in records(tmp_path)}
    assert len(rates) == 6 and all(float(rate) < 5 for rate in rates)  # 9 times as much otherwise: log(10) is 2.3


def test_a_run_of_a_sweep_is_the_run_alone(user, tmp_path, capfd):  # noqa: F811
    """The same folder, the same metrics and weights, whichever came first."""
    assert sweep(user, tmp_path / "sweep", "seed=0,1", "budget.steps=7") == 0
    planned = plans.read(next((tmp_path / "sweep").rglob("plan.jsonl")))
    for prepared in planned:
        alone = {**prepared.config, "outputs": str(tmp_path / "alone")}
        run.execute(preparing.prepare(alone, prepared.overrides))
    assert same_results(results(tmp_path / "sweep"), results(tmp_path / "alone"))
    capfd.readouterr()
    assert sweep(user, tmp_path / "alone", "seed=0,1,2", "budget.steps=7") == 0
    assert "3 runs, 2 finished before, 1 to do" in capfd.readouterr().out


def test_a_finished_sweep_does_nothing(user, tmp_path, capfd):  # noqa: F811
    assert sweep(user, tmp_path, "seed=0,1", "budget.steps=1") == 0
    before = stamps(tmp_path)
    capfd.readouterr()
    assert sweep(user, tmp_path, "seed=0,1", "budget.steps=1") == 0
    assert "2 finished before, 0 to do" in capfd.readouterr().out
    assert stamps(tmp_path) == before


def test_nothing_is_left_but_records_and_results(user, tmp_path):  # noqa: F811
    assert sweep(user, tmp_path / "outputs", "seed=0,1", "budget.steps=1") == 0
    files = {path.name for path in (tmp_path / "outputs").rglob("*") if path.is_file()}
    assert files == {"plan.jsonl", "config.yaml", "metrics.jsonl", "record.json", "weights.pt", "weights.pt.sha256"}


@pytest.mark.parametrize("reader", ["head", "none"])
def test_a_reader_who_goes_away_does_not_end_the_sweep(user, tmp_path, reader):  # noqa: F811
    import subprocess
    import sys

    command = f"{sys.executable} -m lossbench.cli train -m seed=range\\(0,6\\) budget.steps=1 model=linear"
    environment = {**os.environ, "LOSSBENCH_OUTPUTS": str(tmp_path), "PYTHONPATH": str(user)}
    shell = f"{command} | head -n 1" if reader == "head" else f"{command} >&-"
    done = subprocess.run(["bash", "-c", shell], env=environment, capture_output=True, text=True, timeout=100)
    assert len(stamps(tmp_path)) == 6, done.stderr


@pytest.mark.parametrize("option", ["slots=0", "retries=-1", "grace=-1", "slots=two", "slot=1"])
def test_options_of_the_launcher_are_checked(user, tmp_path, capfd, option):  # noqa: F811
    assert sweep(user, tmp_path, "seed=0,1", f"hydra.launcher.{option}") == 2
    assert f"hydra.launcher.{option.split('=')[0]}" in capfd.readouterr().err and not records(tmp_path)


def test_the_record_of_another_run_is_left_alone(user, tmp_path, capfd):  # noqa: F811
    assert sweep(user, tmp_path, "seed=0,1", "budget.steps=1") == 0
    path = next((tmp_path / "runs").rglob("seed0-*/record.json"))
    foreign = path.read_text().replace(json.loads(path.read_text())["run"], "f" * 16)
    path.write_text(foreign)
    assert sweep(user, tmp_path, "seed=0,1", "budget.steps=1") == 1
    assert "belongs to run ffffffffffffffff" in capfd.readouterr().out
    assert path.read_text() == foreign


# --- slots -------------------------------------------------------------------------------------------------------


def slots(monkeypatch, *, cores=8, gpus=0, visible=None, wanted=None, **config):
    from lossbench.sweep import local

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(local, "_cuda_devices", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    runs = [preparing.Prepared({"device": "cpu", "threads": 1} | config, "0", Path(), Path())]
    return local.LocalLauncher(Path(), local.Display(), slots=wanted)._slots(runs)


def test_slots_of_the_processor_are_cores_by_threads(monkeypatch):
    assert len(slots(monkeypatch)) == 8
    assert len(slots(monkeypatch, threads=3)) == 2
    assert len(slots(monkeypatch, threads=16)) == 1
    assert len(slots(monkeypatch, wanted=5)) == 5
    assert {name for name, _ in slots(monkeypatch)} == {None}


def test_slots_of_gpus(monkeypatch):
    assert slots(monkeypatch, gpus=2, device="cuda") == [("0", 0), ("1", 0)]
    assert slots(monkeypatch, gpus=2, device="cuda", wanted=2) == [("0", 0), ("1", 0), ("0", 1), ("1", 1)]
    assert slots(monkeypatch, gpus=2, device="cuda", visible="3,GPU-af") == [("3", 0), ("GPU-af", 0)]
    assert slots(monkeypatch, gpus=2, device="cuda:1") == [(None, 0)]  # as the run says itself
    assert slots(monkeypatch, gpus=0, device="cuda") == [(None, 0)]  # the run says that there is none


def test_a_worker_sees_its_slot_s_gpu_alone(user, tmp_path, monkeypatch):  # noqa: F811
    """Two slots on two devices, by their names in the environment; the runs themselves need none."""
    from lossbench.sweep import local

    monkeypatch.setattr(local.LocalLauncher, "_slots", lambda self, pending: [("7", 0), ("9", 0)])
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    (user / "losses_of_a_user.py").write_text(
        (user / "losses_of_a_user.py")
        .read_text()
        .replace(
            "def slow(logits, targets, *, seconds: float = 0.02):",
            "def slow(logits, targets, *, seconds: float = 0.02):\n"
            "    open(os.environ['SEEN'], 'a').write(os.environ['CUDA_VISIBLE_DEVICES'] + '\\n')",
        )
    )
    assert sweep(user, tmp_path, "loss=slow", "loss.seconds=0.5", "seed=0,1", "budget.steps=1") == 0
    assert sorted((tmp_path / "seen").read_text().split()) == ["7", "9"]
    assert [record["shared_device"] for record in records(tmp_path)] == [False, False]


def test_a_run_that_another_process_works_on_is_waited_for(user, tmp_path, capfd):  # noqa: F811
    import threading

    assert sweep(user, tmp_path, "seed=0", "budget.steps=1") == 0
    (path,) = tmp_path.rglob("record.json")
    path.unlink()
    lock = run.locked(path.parent)
    lock.__enter__()
    threading.Timer(2.5, lambda: lock.__exit__(None, None, None)).start()
    arguments = ["seed=0,1", "budget.steps=1", "hydra.launcher.retries=0", "hydra.launcher.slots=1"]
    assert sweep(user, tmp_path, *arguments) == 0
    printed = capfd.readouterr()
    assert printed.err.count("waiting for another process that is working on it") == 1
    assert "2 completed" in printed.out
