"""The wandb mirror against the real wandb, offline, read back from its files. No mock, no network."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from lossbench import cli
from lossbench.errors import UsageError
from lossbench.loggers import dashboard
from lossbench.loggers.mirror import Mirror, mirrored
from lossbench.loggers.run_files import is_mirrored, read_marker
from lossbench.loggers.sync import sync
from lossbench.loggers.wandb_mirror import best_of, resolved_mode
from tests.loggers.reader import Offline, offline_runs
from tests.loggers.server import Server

CONFIG = {
    "loss": {"_target_": "lossbench.losses.classification.focal.focal", "_partial_": True, "gamma": 2.0},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01},
    "task": {"_target_": "lossbench.tasks.classification.Classification"},
    "selection": {"metric": None, "direction": None},
    "seed": 3,
    "choices": {
        "dataset": "digits",
        "model": "mlp",
        "loss": "focal",
        "optimizer": "adamw",
        "schedule": "wsd",
        "variant": ["long_tailed", "symmetric_label_noise"],
        "paper": None,
    },
}
ROWS = [
    {"step": 10, "epoch": 1.0, "examples": 1280, "seconds": 0.1, "learning_rate": 0.01,
     "train/loss": 2.0, "validation/accuracy": 0.5, "validation/nll": 1.5},
    {"step": 20, "epoch": 2.0, "examples": 2560, "seconds": 0.2, "learning_rate": 0.01,
     "train/loss": 1.0, "validation/accuracy": 0.75, "validation/nll": 0.5},
    {"step": 30, "epoch": 3.0, "examples": 3840, "seconds": 0.3, "learning_rate": 0.001,
     "train/loss": 1.25, "validation/accuracy": 0.625, "validation/nll": None},
]  # fmt: skip
TEST_ROW = {"step": 20, "test/accuracy": 0.7}


@pytest.fixture(autouse=True)
def only_offline(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))  # the mirror's own directory must win
    monkeypatch.setenv("HOME", str(tmp_path))


def dropped_nulls(rows):
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def new_folder(outputs: Path, name: str = "seed3-0123abcd", config: dict = CONFIG) -> Path:
    folder = outputs / "runs" / "digits" / "mlp" / "focal" / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "metrics.jsonl").touch()
    return folder


def append(folder: Path, *rows: dict) -> None:
    with open(folder / "metrics.jsonl", "a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def end(folder: Path, status: str = "completed") -> None:
    error = None if status == "completed" else {"type": "Diverged", "message": "the loss is nan", "traceback": ""}
    record = {
        "schema": 1,
        "run": "0123abcd0123abcd",
        "folder": f"digits/mlp/focal/{folder.name}",
        "status": status,
        "error": error,
        "choices": CONFIG["choices"],
        "config": CONFIG,
        "best": ROWS[1] | TEST_ROW if status == "completed" else {},
        "final": ROWS[2],
        "steps": 30,
        "time": {"started": "2026-01-01T00:00:00+00:00", "wall_seconds": 4.5},
        "memory": {"peak_bytes": 1000},
    }
    (folder / "record.json").write_text(json.dumps(record))


def whole_run(outputs: Path, name: str = "seed3-0123abcd") -> Path:
    folder = new_folder(outputs, name)
    append(folder, *ROWS, TEST_ROW)
    end(folder)
    return folder


def options(outputs: Path, **changes) -> dict:
    keys = {"project": "tests", "entity": None, "mode": "auto", "group": None, "tags": [], "directory": str(outputs)}
    return keys | changes


def start(outputs: Path, *folders: Path, **changes) -> Mirror:
    return Mirror.start(folders, options(outputs, **changes), poll=0.02)


def mirror(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lossbench.loggers.wandb_mirror", "--poll=0.02", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def wait_for(condition, timeout: float = 60.0):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def rows_sent(folder: Path) -> int:
    return read_marker(folder).get("rows", 0)


def services(pid: int) -> list[int]:
    """The wandb-core processes of a mirror."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"wandb-core" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def the_only_run(outputs: Path) -> Offline:
    runs = offline_runs(outputs)
    assert len(runs) == 1
    return runs[0]


def test_imports_are_light():
    """Neither side loads torch; the training side does not even load wandb."""
    code = "import sys, lossbench.loggers.wandb_mirror, lossbench.loggers.mirror, lossbench.loggers.sync\n"
    code += "assert not {'torch', 'wandb', 'hydra', 'numpy'} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_follows_a_growing_run(tmp_path):
    """Rows arrive while the run trains; in the end wandb has the run as its files have it."""
    folder = new_folder(tmp_path)
    follower = start(tmp_path, folder, tags=["mine"], group="sweep-7")
    assert os.getsid(follower.process.pid) != os.getsid(0)  # Ctrl-C is not for it
    append(folder, ROWS[0])
    wait_for(lambda: rows_sent(folder) == 1)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps(ROWS[1]) + "\n" + json.dumps(ROWS[2])[:20])  # half a row
    wait_for(lambda: rows_sent(folder) == 2)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps(ROWS[2])[20:] + "\n")
    append(folder, TEST_ROW)
    end(folder)
    message = follower.close(timeout=60)
    assert message.startswith("wandb: offline run in ") and follower.process.returncode == 0
    assert not list((tmp_path / "wandb").glob("*.log.*")) and not list((tmp_path / "wandb").glob("mirror-*.log"))
    found = the_only_run(tmp_path)
    assert found.rows() == dropped_nulls([*ROWS, TEST_ROW])
    assert [row["_step"] for row in found.history] == [0, 1, 2, 3]
    assert found.exit_code == 0
    assert found.run.display_name == "digits/mlp/focal/seed3-0123abcd"
    assert (found.run.project, found.run.run_group, found.run.job_type) == ("tests", "sweep-7", "focal")
    assert set(found.run.tags) == {"digits", "mlp", "focal", "adamw", "wsd", "classification", "mine"}
    assert {key: found.config[key] for key in CONFIG} == CONFIG
    flat = {"loss_name": "focal", "model_name": "mlp", "learning_rate": 0.01, "family": "classification"}
    flat |= {"paper_name": "none", "variant_name": "long_tailed+symmetric_label_noise"}
    assert {key: found.config[key] for key in flat} == flat
    axes = {name: metric.step_metric for name, metric in found.metrics.items()}
    assert axes["train/loss"] == axes["validation/accuracy"] == axes["learning_rate"] == "examples"
    assert axes["test/accuracy"] == "step" and "examples" in axes and "step" in axes
    assert found.summary["validation/accuracy"] == {"max": 0.75}  # not the last, 0.625
    assert found.summary["train/loss"] == {"min": 1.0}  # not the last, 1.25
    assert found.summary["validation/nll"] == {"min": 0.5}  # the null row counts for nothing
    expected = {"best/step": 20, "best/validation/accuracy": 0.75, "test/accuracy": 0.7, "final/train/loss": 1.25}
    expected |= {"status": "completed", "wall_seconds": 4.5, "run": "0123abcd0123abcd", "peak_bytes": 1000}
    assert {key: found.summary[key] for key in expected} == expected
    assert "final/validation/nll" not in found.summary
    assert is_mirrored(folder, online=False) and not is_mirrored(folder, online=True)


def test_diverged_run_of_a_paper(tmp_path):
    config = CONFIG | {"choices": CONFIG["choices"] | {"paper": "focal_loss"}}
    folder = new_folder(tmp_path, config=config)
    end(folder, "diverged")  # before its first evaluation
    assert mirror(folder, "--project=tests", f"--directory={tmp_path}").returncode == 0
    found = the_only_run(tmp_path)
    assert found.exit_code == 1 and found.rows() == []
    assert (found.run.job_type, found.run.run_group) == ("focal_loss", "digits/mlp")
    assert found.summary["status"] == "diverged" and found.summary["error"] == "Diverged: the loss is nan"


def test_killed_mirror_starts_again(tmp_path):
    """kill -9 in the middle, then again: every row once, in the only offline run there is."""
    folder = new_folder(tmp_path)
    follower = start(tmp_path, folder)
    append(folder, *ROWS[:2])
    wait_for(lambda: rows_sent(folder) == 2)
    os.kill(follower.process.pid, signal.SIGKILL)
    assert follower.close().startswith("wandb: warning:")
    assert not read_marker(folder)["done"]
    append(folder, ROWS[2], TEST_ROW)
    end(folder)
    assert mirror(folder, "--project=tests", f"--directory={tmp_path}").returncode == 0
    found = the_only_run(tmp_path)
    assert found.rows() == dropped_nulls([*ROWS, TEST_ROW]) and found.exit_code == 0
    assert found.run.run_id == read_marker(folder)["id"]


def test_killed_service_is_started_again(tmp_path):
    folder = new_folder(tmp_path)
    follower = start(tmp_path, folder)
    append(folder, *ROWS[:2])
    wait_for(lambda: rows_sent(folder) == 2)
    for pid in wait_for(lambda: services(follower.process.pid)):
        os.kill(pid, signal.SIGKILL)
    append(folder, ROWS[2], TEST_ROW)
    end(folder)
    assert follower.close(timeout=60).startswith("wandb: offline run in ")
    found = the_only_run(tmp_path)
    assert found.rows() == dropped_nulls([*ROWS, TEST_ROW]) and found.exit_code == 0


def test_service_that_always_dies(tmp_path):
    """The mirror gives up with one line and exit code 1; the run's files are as they were."""
    folder = new_folder(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    follower = start(tmp_path, folder)
    stop = threading.Event()

    def kill_services() -> None:
        while not stop.is_set():
            for pid in services(follower.process.pid):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    killer = threading.Thread(target=kill_services)
    killer.start()
    try:
        append(folder, *ROWS)
        code = follower.process.wait(timeout=60)
    finally:
        stop.set()
        killer.join()
    assert code == 1
    message = follower.close()
    assert message.startswith("wandb: warning: wandb mirror: gave up: ") and "\n" not in message
    assert follower.log.read_text().count("\n") == 1
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert kept["config.yaml"] == before["config.yaml"] and len(kept["metrics.jsonl"].splitlines()) == 3
    assert set(kept) <= {"config.yaml", "metrics.jsonl", "wandb.json"}


def test_training_process_killed_then_resumed(tmp_path):
    """The run whose parent is gone is marked as crashed; resumed, the rows of the checkpoint on are not sent twice."""
    folder = new_folder(tmp_path)
    again = ROWS[1] | {"seconds": 0.2123456}  # the clock alone differs from the row that is written again
    append(folder, ROWS[0], again)
    code = "import sys, time, tests.loggers.test_wandb as t; from pathlib import Path; outputs, folder = sys.argv[1:]\n"
    code += "m = t.Mirror.start([Path(folder)], t.options(outputs), poll=0.02, patience=0.2)\n"
    code += "print(m.process.pid, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(tmp_path), str(folder)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    follower = int(parent.stdout.readline())
    wait_for(lambda: rows_sent(folder) == 2)
    time.sleep(0.6)
    assert is_running(follower)  # the run is silent, but its parent lives
    parent.kill()  # not reaped yet: the broken pipe tells, the process number does not
    wait_for(lambda: not is_running(follower))  # nothing outlives the work
    parent.communicate()
    crashed = the_only_run(tmp_path)
    assert crashed.exit_code == 1 and crashed.summary["status"] == "interrupted" and len(crashed.rows()) == 2
    old = read_marker(folder)["directory"]
    resumed = start(tmp_path, folder)
    wait_for(lambda: rows_sent(folder) == 2 and read_marker(folder)["directory"] != old)
    (folder / "new").write_text(json.dumps(ROWS[0]) + "\n")  # cut back to the checkpoint, as a resumed run does
    os.replace(folder / "new", folder / "metrics.jsonl")
    time.sleep(0.1)
    append(folder, *ROWS[1:], TEST_ROW)
    end(folder)
    resumed.close(timeout=60)
    found = the_only_run(tmp_path)
    assert found.rows() == dropped_nulls([ROWS[0], again, ROWS[2], TEST_ROW]) and found.exit_code == 0


def test_failed_run_is_tried_again(tmp_path):
    """The record of the attempt that failed is still there when the mirror of the next one starts."""
    folder = new_folder(tmp_path)
    append(folder, ROWS[0])
    end(folder, "failed")
    assert sync(tmp_path).pushed == 1
    os.utime(folder / "record.json", (1e9, 1e9))
    follower = start(tmp_path, folder)
    wait_for(lambda: not read_marker(folder)["done"])  # it does not take that record for the end
    (folder / "record.json").unlink()
    append(folder, *ROWS[1:], TEST_ROW)
    end(folder)
    follower.close(timeout=60)
    found = the_only_run(tmp_path)
    assert found.rows() == dropped_nulls([*ROWS, TEST_ROW]) and found.exit_code == 0
    assert found.summary["status"] == "completed"


def test_sweep_and_two_mirrors(tmp_path):
    """Folders are added as runs start, one never comes to be, and a second mirror leaves a run to the first."""
    first = start(tmp_path)
    folders = [whole_run(tmp_path, f"seed{seed}-0123abcd") for seed in range(2)]
    unfinished = new_folder(tmp_path, "seed2-0123abcd")
    append(unfinished, ROWS[0])
    for folder in (*folders, unfinished, tmp_path / "runs" / "refused"):
        first.add(folder)
    wait_for(lambda: rows_sent(unfinished) == 1)
    before = read_marker(unfinished)
    second = start(tmp_path, unfinished)
    assert second.close(timeout=60).startswith("wandb: offline run in ")  # nothing to do for it: the first has it
    assert second.process.returncode == 0 and read_marker(unfinished) == before
    message = first.close(timeout=60)
    assert message.startswith("wandb: 3 offline runs in ") and first.process.returncode == 0
    codes = sorted((run.run.display_name[-14:], run.exit_code) for run in offline_runs(tmp_path))
    assert codes == [("seed0-0123abcd", 0), ("seed1-0123abcd", 0), ("seed2-0123abcd", 1)]


def test_mirrored(tmp_path):
    """What the command line uses: one line at the end, also where the training raises; nothing without a config."""
    said = []
    with mirrored([tmp_path], None, said.append) as nobody:
        assert nobody is None
    folder = whole_run(tmp_path)
    with pytest.raises(RuntimeError, match="of the training"), mirrored([folder], options(tmp_path), said.append):
        raise RuntimeError("of the training")
    assert len(said) == 1 and said[0].startswith("wandb: ") and "\n" not in said[0]


def test_hanging_mirror_costs_nothing(tmp_path):
    """A mirror that does not read its messages makes neither add() nor close() wait."""
    follower = start(tmp_path)
    os.kill(follower.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        for number in range(5000):  # more than a pipe holds
            follower.add(tmp_path / "runs" / f"{number:0200d}")
        assert follower.unsent
        assert "in the background" in follower.close(timeout=0.1)
        assert time.monotonic() - started < 10  # a blocking pipe would wait for ever
    finally:
        follower.process.kill()
        follower.process.wait()


def test_unwritable_directory(tmp_path):
    """A path below a file cannot be written to, whoever asks; wandb's own answer, a temporary folder, is not taken."""
    folder = whole_run(tmp_path)
    blocked = tmp_path / "file"
    blocked.touch()
    done = mirror(folder, f"--directory={blocked / 'below'}")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "cannot write to" in done.stderr and "Not a directory" in done.stderr
    message = Mirror.start([folder], options(blocked / "below")).close()
    assert message.startswith("wandb: warning: the mirror did not start: Not a directory")
    assert offline_runs(tmp_path) == [] and not is_mirrored(folder, online=False)


def test_wrong_arguments(tmp_path):
    done = mirror(tmp_path / "nowhere")
    assert done.returncode == 2 and "no such folder" in done.stderr
    with pytest.raises(UsageError, match="no finished run"):
        sync(tmp_path)


def test_sync_twice(tmp_path):
    """The second time does nothing; a run that lost a row's marker or has another project is pushed again."""
    folders = [whole_run(tmp_path, f"seed{seed}-0123abcd") for seed in range(2)]
    new_folder(tmp_path, "seed2-0123abcd")  # still training
    first = sync(tmp_path)
    assert (first.finished, first.pushed, first.failed, first.mode) == (2, 2, 0, "offline")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "wandb").rglob("*") if path.is_file()}
    assert sync(tmp_path).pushed == 0
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "wandb").rglob("*") if path.is_file()}
    end(folders[0], "failed")  # run again, with another end
    assert sync(tmp_path).pushed == 1
    assert sync(tmp_path, project="another").pushed == 2
    runs = offline_runs(tmp_path)
    assert [run.run.project for run in runs] == ["another", "another"]
    assert sorted(run.exit_code for run in runs) == [0, 1]


def test_online(tmp_path, monkeypatch):
    """Against a server on this machine: what was sent is not sent again, by a resumed run nor by sync; what was
    offline is pushed, and the offline copy removed; a server that is away costs the run nothing."""
    monkeypatch.delenv("WANDB_MODE")
    folder = new_folder(tmp_path)
    append(folder, *ROWS[:2])
    with Server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert start(tmp_path, folder).close(timeout=60).startswith("wandb: offline run in ")  # interrupted; no key yet
        assert offline_runs(tmp_path) and not server.runs
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        start(tmp_path, folder).close(timeout=60)
        assert offline_runs(tmp_path) == []
        ((key, run),) = server.runs.items()
        assert key == ("tests", read_marker(folder)["id"])
        assert (len(run.history), run.exit_code) == (2, 1)
        append(folder, ROWS[2], TEST_ROW)
        end(folder)
        message = start(tmp_path, folder).close(timeout=60)
        assert message == f"wandb: {server.url}/me/tests/runs/{key[1]}"
        rows = [{k: v for k, v in row.items() if not k.startswith("_")} for row in run.history]
        assert rows == dropped_nulls([*ROWS, TEST_ROW]) and run.exit_code == 0
        assert run.lines == 4  # none was sent twice
        assert run.summary["validation/accuracy"] == {"max": 0.75} and run.summary["test/accuracy"] == 0.7
        assert run.fields["groupName"] == "digits/mlp" and run.fields["jobType"] == "focal"
        other = whole_run(tmp_path, "seed4-0123abcd")
        assert sync(tmp_path, project="tests").pushed == 1 and len(server.runs) == 2
        assert sync(tmp_path, project="tests").pushed == 0 and run.lines == 4
        assert is_mirrored(other, online=True)
        server.refuse = True
        assert sync(tmp_path, project="another").failed == 2


def test_real_run(tmp_path):
    """A run of lossbench itself: wandb's rows are those of metrics.jsonl."""
    command = [sys.executable, "-m", "lossbench.cli", "train", "budget.epochs=2", "logger=wandb"]
    subprocess.run([*command, f"outputs={tmp_path}"], check=True, capture_output=True)
    (folder,) = (path.parent for path in tmp_path.glob("runs/**/record.json"))
    sync(tmp_path)
    found = the_only_run(tmp_path)
    written = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(written) == 3 and found.rows() == dropped_nulls(written) and found.exit_code == 0
    record = json.loads((folder / "record.json").read_text())
    assert found.summary["run"] == record["run"] and found.run.project == "lossbench"
    assert found.summary["test/accuracy"] == record["best"]["test/accuracy"]


def test_real_sweep(tmp_path):
    """Two runs of one sweep: one wandb run each, in a group of the sweep's name."""
    overrides = ["seed=0,1", "budget.epochs=1", "logger=wandb", "logger.wandb.mode=offline", f"outputs={tmp_path}"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "-m", *overrides])
    assert ended.value.code == 0
    [sweep] = (tmp_path / "sweeps").iterdir()
    runs = offline_runs(tmp_path)
    assert sorted(run.config["seed"] for run in runs) == [0, 1]
    assert {run.run.run_group for run in runs} == {sweep.name} and {run.exit_code for run in runs} == {0}


def test_dashboard(tmp_path):
    """Panels of every metric that the runs report, grouped by loss over examples, the table's columns; written again
    in place."""
    whole_run(tmp_path)
    path, address = dashboard.dashboard(tmp_path, project="tests")
    assert address is None
    section = json.loads(path.read_text())["workspace"]["spec"]["section"]
    panels = [panel for part in section["panelBankConfig"]["sections"] for panel in part["panels"]]
    curves = {panel["config"]["metrics"][0]: panel["config"] for panel in panels if "Line" in panel["viewType"]}
    assert list(curves)[:2] == ["validation/accuracy", "validation/nll"]  # the task's own metric first
    assert all(curve["xAxis"] == "examples" and curve["groupBy"] == "loss_name.value" for curve in curves.values())
    bars = [panel["config"] for panel in panels if panel["viewType"] == "Bar Chart"]
    assert [(bar["metrics"], bar["groupBy"]) for bar in bars] == [(["test/accuracy"], "loss_name.value")]
    (scatter,) = (panel["config"] for panel in panels if panel["viewType"] == "Scatter Plot")
    assert scatter["xAxis"] == "config:learning_rate.value" and scatter["xAxisLogScale"]
    assert scatter["yAxis"] == "summary:best/validation/accuracy"
    runs = section["runSets"][0]
    assert {"config:loss_name", "summary:test/accuracy"} <= set(runs["runFeed"]["columnPinned"])
    assert [entry["name"] for entry in runs["grouping"]] == ["dataset_name.value", "loss_name.value"]
    assert dashboard.main(["--outputs", str(tmp_path), "--project", "tests"]) == 0


def test_dashboard_without_runs_or_extra(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="nothing to show"):
        dashboard.dashboard(tmp_path)
    whole_run(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)  # what Python does for a missing package
    with pytest.raises(UsageError, match=r"lossbench\[wandb\]"):
        dashboard.dashboard(tmp_path)


def test_mode(tmp_path, monkeypatch):
    """auto: WANDB_MODE, then a key, then a login in netrc for wandb's own host, otherwise offline."""
    assert resolved_mode("online") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolved_mode("auto") == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    assert resolved_mode("auto") == "offline"
    (tmp_path / ".netrc").write_text("machine example.org login user password nothing\n")
    assert resolved_mode("auto") == "offline"
    with open(tmp_path / ".netrc", "a") as file:
        file.write("machine api.wandb.ai login user password nothing\n")
    assert resolved_mode("auto") == "online"
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert resolved_mode("auto") == "online"


def test_direction_of_metrics():
    lower = ["train/loss", "train/accuracy_term", "validation/nll", "validation/ece_equal_mass", "validation/rmse"]
    lower += ["validation/label_ranking_loss", "validation/coverage_error"]
    higher = ["validation/accuracy", "validation/auroc", "validation/r2", "validation/mean_average_precision"]
    assert {best_of(name) for name in lower} == {"min"} and {best_of(name) for name in higher} == {"max"}
