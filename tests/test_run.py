"""One run as a user meets it: real processes, killed, interrupted, damaged, refused, and what they leave behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from lossbench import building, checkpoint, cli, preparing, run
from lossbench.errors import RunError, UsageError
from lossbench.interrupts import StopOnSignal
from lossbench.trainer import Trainer
from tests.engine import identical, prepared, trainer

TINY = ("batch_size=16", "model.widths=[16]", "evaluation.steps=80", "checkpoint.seconds=0")


def command(outputs: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "lossbench.cli", "train", f"outputs={outputs}", *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(cli.__file__).parent.parent), **more}


def start(outputs: Path, *arguments: str, **more: str) -> subprocess.Popen:
    outputs.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        command(outputs, *arguments), env=environment(**more), cwd=outputs, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(outputs: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    process = start(outputs, *arguments, **more)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def here(capsys, outputs: Path, *arguments: str) -> tuple[int, str, str]:
    """The same in this process: (exit code, standard output, standard error)."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", f"outputs={outputs}", *arguments])
    return (ended.value.code, *capsys.readouterr())


def folder(outputs: Path) -> Path:
    (found,) = (path for path in outputs.glob("runs/*/*/*/*") if path.is_dir())
    return found


def timeless(row: dict) -> dict:
    return {key: value for key, value in row.items() if key != "seconds"}


def result(outputs: Path) -> dict:
    """Everything about a run that must not depend on how often it was stopped."""
    where = folder(outputs)
    record = json.loads((where / "record.json").read_text())
    rows = [timeless(json.loads(line)) for line in (where / "metrics.jsonl").read_text().splitlines()]
    kept = ("run", "folder", "status", "seed", "steps", "epochs", "examples", "parameters", "choices", "error")
    return {
        **{key: record[key] for key in kept},
        "best": timeless(record["best"]),
        "final": timeless(record["final"]),
        "rows": rows,
    }


def saved_weights(outputs: Path) -> list[torch.Tensor]:
    return list(checkpoint.read(folder(outputs) / "weights.pt")["model"].values())


def newest_step(outputs: Path) -> int:
    found = [path.name for path in outputs.glob("runs/*/*/*/*/checkpoint-*.pt")]
    return max((int(checkpoint.NAME.fullmatch(name)[1]) for name in found), default=0)


def wait_for(condition, process: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)


# --- the same command again --------------------------------------------------------------------------------------


def test_second_time_does_no_work_and_says_so(tmp_path):
    first = finish(tmp_path, "budget.steps=20")
    assert first.returncode == 0, first.stderr
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder(tmp_path).iterdir()}
    names = {path.name for path in before}
    assert names == {"config.yaml", "metrics.jsonl", "record.json", "weights.pt", "weights.pt.sha256"}
    second = finish(tmp_path, "budget.steps=20")
    assert second.returncode == 0
    assert "already completed, nothing to do" in second.stdout and str(folder(tmp_path)) in second.stdout
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder(tmp_path).iterdir()} == before


KILLED = {
    "memory of the loss": ("loss=early_learning", "augmentation=[crop,cutout]"),
    "parameters of the loss": ("loss=center", "loss.weight=0.1", "augmentation=[crop,mixup]", "ema=0.99"),
}


@pytest.mark.parametrize("kind", KILLED)
def test_killed_three_times_ends_as_if_it_had_not_been(kind, tmp_path):
    """SIGKILL at three random moments; the same command each time. Dropout, augmentation and memory: bit-identical."""
    arguments = (
        *TINY, "budget.steps=320", "model.dropout=0.2", "augmentation.crop.padding=1", *KILLED[kind],
        *(["augmentation.cutout.size=3"] if "cutout" in str(KILLED[kind]) else []),
    )  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    reference = finish(whole, *arguments, "checkpoint.seconds=null")
    assert reference.returncode == 0, reference.stderr
    moments = [random.randint(low, low + 80) for low in (10, 110, 210)]
    print("killed after steps", moments)
    for moment in moments:
        process = start(killed, *arguments)
        wait_for(lambda moment=moment: newest_step(killed) >= moment, process)
        time.sleep(random.random() * 0.02)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (folder(killed) / "record.json").exists()
    last = finish(killed, *arguments)
    assert last.returncode == 0, last.stderr
    assert "resumed at step" in last.stdout
    assert result(killed) == result(whole)
    assert identical(saved_weights(killed), saved_weights(whole))
    assert json.loads((folder(killed) / "record.json").read_text())["resumed"] == 3
    names = {path.name for path in folder(killed).iterdir()}
    assert names == {"config.yaml", "metrics.jsonl", "record.json", "weights.pt", "weights.pt.sha256"}


# --- the same, stopped in this process ---------------------------------------------------------------------------

SHORT = (*TINY, "budget.steps=30", "evaluation.steps=7", "model.dropout=0.2")


class Watcher(run.Silent):
    def __init__(self):
        self.warnings: list[str] = []
        self.resumed: list[int | None] = []

    def started(self, prepared, resumed_at):
        self.resumed.append(resumed_at)

    def warn(self, text):
        self.warnings.append(text)


def stopped(outputs: Path, at: int, *overrides: str) -> preparing.Prepared:
    """A run that has been stopped after so many steps."""
    ready = prepared(outputs, *SHORT, *overrides)
    steps = iter(range(1, 1000))
    with pytest.raises(run.Interrupted):
        run.execute(ready, stop=lambda: next(steps) >= at)
    return ready


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("undisturbed")
    run.execute(prepared(outputs, *SHORT))
    return outputs


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    match how:
        case "a flipped bit":
            content[len(content) // 2] ^= 1
        case "a hole":
            content[1000:2000] = bytes(1000)
        case "cut off":
            content = content[: len(content) // 2]
        case "empty":
            content = bytearray()
        case "no digest":
            checkpoint.digest_path(path).unlink()
            return
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["a flipped bit", "a hole", "cut off", "empty", "no digest"])
def test_damaged_checkpoint_is_reported_and_the_one_before_used(how, tmp_path, undisturbed):
    ready = stopped(tmp_path, 20)
    *_, previous, newest = checkpoint.checkpoints(ready.folder)
    assert (previous.name, newest.name) == ("checkpoint-000000019.pt", "checkpoint-000000020.pt")
    damage(newest, how)
    watcher = Watcher()
    run.execute(ready, watcher)
    (warning,) = watcher.warnings
    assert "damaged" in warning and newest.name in warning and "before" in warning
    assert watcher.resumed == [19]
    assert result(tmp_path) == result(undisturbed)
    assert identical(saved_weights(tmp_path), saved_weights(undisturbed))


def test_all_checkpoints_damaged_starts_anew(tmp_path, undisturbed):
    ready = stopped(tmp_path, 20)
    for path in checkpoint.checkpoints(ready.folder):
        damage(path, "a flipped bit")
    watcher = Watcher()
    run.execute(ready, watcher)
    assert len(watcher.warnings) == 2 and "anew" in watcher.warnings[-1] and watcher.resumed == [None]
    assert result(tmp_path) == result(undisturbed)
    assert identical(saved_weights(tmp_path), saved_weights(undisturbed))


def test_flipped_bit_on_the_command_line(tmp_path, capsys, undisturbed):
    ready = stopped(tmp_path, 11)
    newest = checkpoint.checkpoints(ready.folder)[-1]
    damage(newest, "a flipped bit")
    code, out, err = here(capsys, tmp_path, *SHORT)
    assert code == 0 and "resumed at step 10" in out
    assert newest.name in err and "damaged" in err and len(err.splitlines()) == 1
    assert result(tmp_path) == result(undisturbed)


def test_kill_between_the_test_metrics_and_the_record(tmp_path, undisturbed):
    """The run has measured test, and dies before its record: the row is not there twice afterwards."""
    ready = stopped(tmp_path, 29)
    rows = (folder(undisturbed) / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert "test/" in rows[-1]
    early = json.dumps({**json.loads(rows[-1]), "step": 7})  # of weights from before the checkpoint
    (ready.folder / "metrics.jsonl").write_text("".join(rows[:-1]) + early + "\n")
    run.execute(ready)
    assert result(tmp_path) == result(undisturbed)


def test_torn_files_are_cleaned_up(tmp_path, undisturbed):
    """Half a line of metrics, a temporary file, a digest without its checkpoint: what a kill can leave."""
    ready = stopped(tmp_path, 15)
    with open(ready.folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 21, "epo')
    (ready.folder / ".checkpoint-000000016.pt.123.tmp").write_bytes(b"half")
    (ready.folder / "checkpoint-000000016.pt.sha256").write_text("0" * 64)
    run.execute(ready)
    assert result(tmp_path) == result(undisturbed)
    assert {p.name for p in ready.folder.iterdir()} == {p.name for p in folder(undisturbed).iterdir()}


def test_checkpoint_of_another_config_is_refused(tmp_path):
    """Nothing is overwritten."""
    other = stopped(tmp_path / "other", 5, "seed=1")
    ready = prepared(tmp_path / "own", *SHORT)
    ready.folder.parent.mkdir(parents=True)
    other.folder.rename(ready.folder)
    before = sorted(path.name for path in ready.folder.iterdir())
    with pytest.raises(UsageError, match=f"belongs to run {other.run}, not to {ready.run}"):
        run.execute(ready)
    assert sorted(path.name for path in ready.folder.iterdir()) == before


def test_record_of_another_run_is_refused(tmp_path):
    """Two configs may share the eight digits of a folder's name."""
    ready = prepared(tmp_path, *SHORT)
    run.execute(ready)
    path = ready.folder / "record.json"
    path.write_text(path.read_text().replace(f'"run": "{ready.run}"', '"run": "0000000000000000"'))
    with pytest.raises(UsageError, match="belongs to run 0000000000000000"):
        run.execute(ready)


@pytest.mark.parametrize("content", ["", '{"schema": 1, "status": "comp', "[]", "{}", "\x00\x00"])
def test_damaged_record_means_that_the_run_is_done_again(content, tmp_path, undisturbed):
    ready = prepared(tmp_path, *SHORT)
    run.execute(ready)
    (ready.folder / "record.json").write_text(content)
    assert not ready.finished
    watcher = Watcher()
    run.execute(ready, watcher)
    assert any("record.json is damaged" in text for text in watcher.warnings)
    assert result(tmp_path) == result(undisturbed)


# --- interrupted -------------------------------------------------------------------------------------------------


def test_asked_to_stop_once(tmp_path):
    """Leaves a checkpoint although none was due, exit code 130; the same command goes on."""
    arguments = (*TINY, "budget.steps=100000", "checkpoint.seconds=3600")
    process = start(tmp_path, *arguments)
    wait_for(lambda: any(tmp_path.glob("runs/*/*/*/*/metrics.jsonl")), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "the same command goes on" in err and "Traceback" not in err
    step = newest_step(tmp_path)
    assert step > 0 and not (folder(tmp_path) / "record.json").exists()
    process = start(tmp_path, *arguments)
    line = process.stdout.readline() + process.stdout.readline()
    assert f"resumed at step {step}" in line
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_ask_to_stop(number):
    """The first is kept, the second raises; afterwards the handlers are what they were."""
    before = signal.getsignal(number)
    with StopOnSignal() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_asked_to_stop_twice(tmp_path):
    """The second time it ends at once, in the middle of whatever it does."""
    code = (
        "import time\nfrom lossbench import cli\nfrom lossbench.trainer import Trainer\n"
        "Trainer._train_step = lambda self, *rest: (print('busy', flush=True), time.sleep(60))\n"
        f"cli.main(['train', 'outputs={tmp_path}'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(), text=True, stdout=-1, stderr=-1)
    while "busy" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130 and "Traceback" not in err


def test_second_process_on_the_same_run_is_refused(tmp_path, capsys):
    arguments = (*TINY, "budget.steps=100000")
    process = start(tmp_path, *arguments)
    try:
        wait_for(lambda: newest_step(tmp_path) > 0, process)
        code, out, err = here(capsys, tmp_path, *arguments)
        assert code == 2 and "another process is working on this run" in err and out == ""
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    ready = prepared(tmp_path, *arguments)
    with run.locked(ready.folder):
        pass  # a killed process holds no lock


def test_lock_on_a_removed_file_keeps_nobody_out(tmp_path, monkeypatch):
    """The holder removes the lock file at its end; whoever had opened it before must not work on."""
    import fcntl

    flock = fcntl.flock

    def late(file, how):
        (tmp_path / "run" / ".lock").unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UsageError, match="another process"), run.locked(tmp_path / "run"):
        pass


def test_finished_by_another_process_while_waiting_for_the_lock(tmp_path, monkeypatch):
    ready = prepared(tmp_path, *SHORT)
    looks = iter([False])
    finished = preparing.Prepared.finished.fget
    monkeypatch.setattr(preparing.Prepared, "finished", property(lambda self: next(looks, None) or finished(self)))
    record = run.execute(ready)
    looks = iter([False])  # the first look is before the other process ends
    monkeypatch.setattr(preparing.Prepared, "finished", property(lambda self: next(looks, True)))
    monkeypatch.setattr(run, "_execute", lambda *rest: pytest.fail("the run was trained again"))
    assert run.execute(ready)["run"] == record["run"]


def test_reader_of_the_output_goes_away(tmp_path):
    """`lossbench train | head -n 1`: the run goes on and completes."""
    process = start(tmp_path, *TINY, "budget.steps=1500", "evaluation.steps=50", "checkpoint.seconds=null")
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.wait(timeout=60)
    assert json.loads((folder(tmp_path) / "record.json").read_text())["status"] == "completed", err
    assert process.returncode == 0 and err == ""
    process.stderr.close()


# --- runs that fail ----------------------------------------------------------------------------------------------


def test_diverged_run(tmp_path, capsys):
    arguments = ("optimizer=sgd", "optimizer.lr=1e30", "budget.steps=50", "evaluation.steps=100")
    code, out, _ = here(capsys, tmp_path, *arguments)
    assert code == 1 and "diverged after" in out
    record = json.loads((folder(tmp_path) / "record.json").read_text())
    assert record["status"] == "diverged" and record["error"]["type"] == "Diverged"
    assert record["best"] == {} and record["final"] == {} and 0 < record["steps"] < 50
    assert 1 < record["time"]["steps_per_second"] < 1e6 and record["time"]["train_seconds"] > 0
    before = {path: path.stat().st_mtime_ns for path in folder(tmp_path).iterdir()}
    assert not any("checkpoint" in path.name or "weights" in path.name for path in before)
    code, out, _ = here(capsys, tmp_path, *arguments)
    assert code == 1 and "already diverged, nothing to do" in out
    assert {path: path.stat().st_mtime_ns for path in folder(tmp_path).iterdir()} == before


def test_failure_in_the_middle_is_recorded_and_can_be_tried_again(tmp_path, capsys, monkeypatch, undisturbed):
    step = Trainer._train_step

    def failing(self, *rest):
        if self.step == 13:
            raise ArithmeticError("the dice fell off the table")
        step(self, *rest)

    monkeypatch.setattr(Trainer, "_train_step", failing)
    code, out, err = here(capsys, tmp_path, *SHORT)
    assert code == 1 and "failed: ArithmeticError: the dice fell off the table" in err and "Traceback" not in err
    record = json.loads((folder(tmp_path) / "record.json").read_text())
    assert record["status"] == "failed" and record["steps"] == 13
    assert record["error"]["type"] == "ArithmeticError" and "failing" in record["error"]["traceback"]
    assert record["final"]["step"] == 7 and record["time"]["train_seconds"] > 0
    monkeypatch.undo()
    code, out, err = here(capsys, tmp_path, *SHORT)
    assert code == 0 and "resumed at step 13" in out
    assert result(tmp_path) == result(undisturbed)


def test_failure_while_building_is_recorded(tmp_path, capsys, monkeypatch):
    def broken(*given):
        raise MemoryError("no room for the model")

    monkeypatch.setattr(building, "build_model", broken)
    code, _, err = here(capsys, tmp_path, *SHORT)
    assert code == 1 and "failed: MemoryError: no room for the model" in err and "Traceback" not in err
    record = json.loads((folder(tmp_path) / "record.json").read_text())
    assert record["status"] == "failed" and record["steps"] == 0 and "broken" in record["error"]["traceback"]
    assert record.keys() == SCHEMA.keys()


# --- what a run writes -------------------------------------------------------------------------------------------

NUMBER = (int, float)
SCHEMA = {
    "schema": int, "run": str, "folder": str, "status": str, "error": (dict, type(None)), "choices": dict,
    "config": dict, "overrides": list, "seed": int, "best": dict, "final": dict, "steps": int, "epochs": NUMBER,
    "examples": int, "parameters": int, "time": dict, "memory": dict, "energy_joules": (*NUMBER, type(None)),
    "environment": dict, "shared_device": bool, "resumed": int,
}  # fmt: skip


def test_record_and_files(tmp_path):
    overrides = ("loss=center", "variant=[subset]", "augmentation=[mixup]", "regularizer=[l2_norm,feature_norm]")
    ready = prepared(tmp_path, *SHORT, *overrides)
    returned = run.execute(ready)
    record = json.loads((ready.folder / "record.json").read_text())
    assert returned == record
    assert record.keys() == SCHEMA.keys()
    for key, kind in SCHEMA.items():
        assert isinstance(record[key], kind), key
    assert record["schema"] == 1 and record["run"] == ready.run and len(ready.run) == 16
    assert record["folder"] == f"digits/mlp/center/seed0-{ready.run[:8]}"
    assert ready.folder == tmp_path / "runs" / record["folder"]
    choices = {key: record["choices"][key] for key in ("dataset", "model", "loss", "reduction", "task", "precision")}
    assert choices == {"dataset": "digits", "model": "mlp", "loss": "center", "reduction": "mean",
                       "task": "classification", "precision": "fp32"}  # fmt: skip
    assert record["choices"]["paper"] is None
    lists = {key: record["choices"][key] for key in ("variant", "augmentation", "regularizer")}
    assert lists == {"variant": ["subset"], "augmentation": ["mixup"], "regularizer": ["l2_norm", "feature_norm"]}
    assert record["config"] == ready.config == yaml.safe_load((ready.folder / "config.yaml").read_text())
    assert record["overrides"] == [*SHORT, *overrides]
    assert record["steps"] == 30 and record["examples"] == 480 and record["resumed"] == 0
    assert record["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert record["memory"].keys() == {"peak_bytes"} and record["memory"]["peak_bytes"] > 1e6
    times = {"started", "wall_seconds", "train_seconds", "examples_per_second", "steps_per_second"}
    assert record["time"].keys() == times
    assert record["time"]["wall_seconds"] >= record["time"]["train_seconds"] > 0
    environment = {"lossbench", "python", "torch", "cuda", "commit", "platform", "processor", "gpu", "device",
                   "threads", "hostname"}  # fmt: skip
    assert record["environment"].keys() == environment
    rows = [json.loads(line) for line in (ready.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows[:-1]] == [7, 14, 21, 28, 30]
    terms = {"train/loss", "train/cross_entropy", "train/center", "train/l2_norm", "train/feature_norm"}
    for row in rows[:-1]:
        assert {"step", "epoch", "examples", "seconds", "learning_rate", *terms, "validation/accuracy"} <= row.keys()
        parts = sum(row[key] for key in terms - {"train/loss"})
        assert parts == pytest.approx(row["train/loss"], rel=1e-5)
    assert rows[-1].keys() == {"step", *(key for key in record["best"] if key.startswith("test/"))}
    assert record["final"] == rows[-2]
    chosen = next(row for row in rows if row["step"] == record["best"]["step"])
    assert chosen.items() <= record["best"].items() and rows[-1].items() <= record["best"].items()


def test_folder_moves_with_its_outputs(tmp_path):
    """Nothing in a finished run depends on where the outputs lie."""
    run.execute(prepared(tmp_path / "a", *SHORT))
    (tmp_path / "a").rename(tmp_path / "b")
    assert prepared(tmp_path / "b", *SHORT).finished


# --- identity ----------------------------------------------------------------------------------------------------

SAME = (
    "logger=wandb", "checkpoint.seconds=1", "checkpoint.seconds=null", "checkpoint.keep_weights=false",
    "data.workers=0", "data.resident=false", "retry=failed", "fail_fast=3", "time_limit=10", "loss=cross_entropy",
    "loss=classification/cross_entropy", "optimizer.weight_decay=1e-2",
)  # fmt: skip
OTHER = (
    "seed=1", "data_seed=1", "batch_size=17", "accumulation=2", "budget.steps=31", "clip_norm=1", "ema=0.9",
    "weight_decay_on_all=true", "evaluation.steps=8", "evaluation.batch_size=7", "selection.metric=nll", "threads=2",
    "deterministic=true", "compile=true", "compile=graphs", "channels_last=true", "precision=bf16", "loss=focal",
    "loss.smoothing=0.1",
    "model=linear", "model.dropout=0.1", "optimizer=sgd", "optimizer.lr=0.5", "schedule=cosine", "schedule.warmup=3",
    "reduction=sum", "regularizer=[l2_norm]", "augmentation=[mixup]", "variant=[subset]", "dataset=wine",
    "model.widths=[16,16]",
)  # fmt: skip


def test_what_makes_a_run_another_run(tmp_path):
    base = prepared(tmp_path, *TINY, "budget.steps=30")
    for override in SAME:
        assert prepared(tmp_path, *TINY, "budget.steps=30", override).run == base.run, override
    assert prepared(tmp_path / "elsewhere", *TINY, "budget.steps=30").run == base.run
    seen = {base.run: "base"}
    for override in OTHER:
        common = [o for o in (*TINY, "budget.steps=30") if o != "model.widths=[16]" or override != "model=linear"]
        other = prepared(tmp_path, *common, override)
        assert other.run not in seen, (override, seen[other.run])
        assert other.folder != base.folder
        seen[other.run] = override


def test_equal_configs_written_differently_are_one_run(tmp_path):
    for one, other in (
        (["optimizer.lr=1"], ["optimizer.lr=1.0"]),
        (["optimizer.lr=0.001"], ["optimizer.lr=1e-3"]),
        (["budget.steps=30"], ["budget.steps=30", "budget.epochs=7"]),  # epochs do not count beside steps
        (["regularizer=l2_norm"], ["regularizer=[l2_norm]"]),
        (["dataset=mnist", "dataset.root=/here"], ["dataset=mnist", "dataset.root=/there"]),
        (["device=auto"], ["device=cpu"] if not torch.cuda.is_available() else ["device=cuda"]),
    ):
        assert prepared(tmp_path, *one).run == prepared(tmp_path, *other).run, (one, other)


@pytest.mark.parametrize("group", ["augmentation", "variant"])
def test_order_of_a_list_is_part_of_the_run(group, tmp_path):
    names = {"augmentation": "crop,cutout", "variant": "subset,symmetric_label_noise"}[group]
    turned = ",".join(reversed(names.split(",")))
    assert prepared(tmp_path, f"{group}=[{names}]").run != prepared(tmp_path, f"{group}=[{turned}]").run


def test_order_of_variants_in_one_process(tmp_path):
    """Data sets are kept in the process: those of the other order must not be taken."""
    targets = []
    for names in ("subset,long_tailed", "long_tailed,subset"):
        config = prepared(tmp_path, f"variant=[{names}]", "variant.subset.fraction=0.5").config
        targets.append(building.load_dataset(config).train.labels["targets"])
    assert targets[0].shape != targets[1].shape or not torch.equal(*targets)


# --- teachers ----------------------------------------------------------------------------------------------------

STUDENT = ("task=distillation", "loss=distillation")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("teacher")
    ready = prepared(outputs, "budget.steps=150", "model.widths=[32]", "optimizer.lr=0.01")
    assert run.execute(ready)["best"]["test/accuracy"] > 0.85
    return ready.folder


def test_distillation_from_the_folder_of_a_run(tmp_path, capsys, teacher):
    """With alpha = 1 the labels play no part: what the student knows, it has from the teacher."""
    arguments = (*STUDENT, f"task.teacher={teacher}", "loss.alpha=1", "budget.steps=150", "optimizer.lr=0.01")
    code, _, err = here(capsys, tmp_path, *arguments)
    assert code == 0, err
    best = json.loads((folder(tmp_path) / "record.json").read_text())["best"]
    assert best["test/teacher_agreement"] > 0.9 and best["test/accuracy"] > 0.85
    assert best["test/teacher_agreement"] > best["test/accuracy"] - 0.05
    code, _, err = here(capsys, tmp_path / "file", *arguments[:2], f"task.teacher={teacher / 'weights.pt'}",
                          *arguments[3:])  # fmt: skip
    assert code == 0 and result(tmp_path / "file")["best"] == timeless(best), err


def test_teacher_stays_as_it_was(tmp_path, teacher):
    before = (teacher / "weights.pt").read_bytes()
    built = trainer(tmp_path, *STUDENT, f"task.teacher={teacher}", "budget.steps=3")
    frozen = built.objective.task._teacher
    start = [p.clone() for p in frozen.parameters()]
    assert not any(p.requires_grad for p in frozen.parameters()) and not frozen.training
    assert not {id(p) for p in built.parameters} & {id(p) for p in frozen.parameters()}
    built.fit()
    assert identical(start, list(frozen.parameters())) and (teacher / "weights.pt").read_bytes() == before


def test_run_is_named_by_the_weights_of_its_teacher_not_by_their_place(tmp_path, teacher):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(teacher, copy)
    first = prepared(tmp_path, *STUDENT, f"task.teacher={teacher}")
    assert prepared(tmp_path, *STUDENT, f"task.teacher={copy}").run == first.run
    payload = checkpoint.read(copy / "weights.pt")
    payload["model"]["head.bias"] += 1
    checkpoint.write(copy / "weights.pt", payload)
    assert prepared(tmp_path, *STUDENT, f"task.teacher={copy}").run != first.run


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("missing", "weights.pt does not exist"),
        ("a flipped bit", "damaged, its SHA-256 does not fit"),
        ("no digest", "weights.pt.sha256 is missing"),
        ("a checkpoint", "Give the folder of a run that is completed"),
        ("other classes", "task.teacher has 3 outputs, but the data set has 10 classes"),
        ("other inputs", "task.teacher cannot read inputs of shape"),
    ],
)
def test_teacher_that_cannot_teach(what, words, tmp_path, capsys, teacher):
    import shutil

    place = tmp_path / "teacher"
    if what == "missing":
        place.mkdir()
    elif what in ("a flipped bit", "no digest"):
        shutil.copytree(teacher, place)
        damage(place / "weights.pt", what)
    elif what == "a checkpoint":
        place = checkpoint.checkpoints(stopped(tmp_path / "going_on", 5).folder)[-1]
    else:
        name = {"other classes": "wine", "other inputs": "mnist1d"}[what]
        ready = prepared(tmp_path / "others", f"dataset={name}", "budget.steps=2", "batch_size=16", "model=linear")
        run.execute(ready)
        place = ready.folder
        if what == "other classes":  # of the same inputs
            payload = checkpoint.read(place / "weights.pt")
            from lossbench.models.linear import linear

            payload |= {"input_shape": [1, 8, 8], "model": linear(input_shape=(1, 8, 8), num_outputs=3).state_dict()}
            checkpoint.write(place / "weights.pt", payload)
    code, _, err = here(capsys, tmp_path / "own", *STUDENT, f"task.teacher={place}")
    assert code == 2 and words in err and "Traceback" not in err and len(err.splitlines()) == 1, err
    assert not any(path.is_file() for path in (tmp_path / "own").rglob("*"))


def test_run_errors_are_raised_after_the_record_is_written(tmp_path, monkeypatch):
    ready = prepared(tmp_path, *SHORT)
    monkeypatch.setattr(Trainer, "_train_step", lambda *rest: 1 / 0)
    with pytest.raises(RunError, match="ZeroDivisionError"):
        run.execute(ready)
    assert ready.record["status"] == "failed" and not ready.finished


def test_a_loss_that_does_not_fit_is_found_before_what_the_run_needs_is_trained(tmp_path):
    one = prepared(tmp_path, "dataset=bradley_terry", "loss=cross_entropy")
    with pytest.raises(UsageError, match=r"'cross_entropy' needs the tensor 'logits'"):
        run.execute(one)
    (before,) = one.prerequisites
    assert before.record is None and not before.folder.exists()


def test_tokens_want_a_model_of_tokens(tmp_path):
    one = prepared(tmp_path, "dataset=copying", "model=mlp")
    with pytest.raises(UsageError, match="model=mlp reads numbers, and the inputs of dataset=copying are tokens"):
        run.execute(one)


@pytest.mark.parametrize("name", ["mixup", "gaussian_noise"])
def test_tokens_cannot_be_changed_like_numbers(name, tmp_path):
    one = prepared(tmp_path, "dataset=copying", "budget.steps=1", f"augmentation=[{name}]")
    with pytest.raises(UsageError, match=f"augmentation={name}: it changes numbers"):
        run.execute(one)
