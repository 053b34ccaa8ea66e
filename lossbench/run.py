"""One run: from its prepared config to its folder. Finished, it is not run again; killed, it goes on.

What a run leaves behind is written here: its config, its rows of metrics, its weights and its record.
"""

import contextlib
import datetime
import fcntl
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml

from lossbench import checkpoint
from lossbench.binding import bind
from lossbench.building import WEIGHTS, build, load_dataset
from lossbench.errors import Busy, RunError, UsageError
from lossbench.objective import explain, missing, unwrap
from lossbench.preparing import Prepared, resolve_device
from lossbench.results import record as records
from lossbench.source import Source
from lossbench.trainer import Interrupted, Outcome, Trainer

YAML = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's where there is one: five times as fast


class Watcher(Protocol):
    """Whoever follows a run: the command line's progress display, a sweep's worker, nobody."""

    def started(self, prepared: Prepared, resumed_at: int | None) -> None: ...

    def row(self, row: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int) -> None: ...

    def warn(self, text: str) -> None: ...


class Silent:
    """Nobody watches."""

    def started(self, prepared: Prepared, resumed_at: int | None) -> None: ...

    def row(self, row: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int) -> None: ...

    def warn(self, text: str) -> None: ...


def train_prerequisites(prepared: Prepared, watcher: Watcher, stop: Callable[[], bool]) -> None:
    """Train what the run needs before it, or wait for whoever is at it.

    Raises UsageError where the run could not use them; RunError where one of them has no model to give; Interrupted
    when ``stop`` came true.
    """
    if not all(before.finished for before in prepared.prerequisites):
        _check_tensors(prepared.config)
    for before in prepared.prerequisites:
        if not before.finished:
            watcher.warn(f"{before.name} is trained first: its model is needed")
        while True:
            try:
                record = execute(before, Silent(), stop)
                break
            except Busy:  # runs of one sweep may need the same one
                if stop():
                    raise Interrupted(f"stopped while another process trains {before.name}") from None
                time.sleep(0.2)
        if record["status"] != "completed":
            raise RunError(f"{before.name}, whose model is needed, {record['status']}")


def _check_tensors(config: Mapping[str, Any]) -> None:
    """Whether the loss and what goes with it find their tensors, before anything is trained for the run."""
    from hydra.utils import get_object

    task, labels = get_object(config["task"]["_target_"]), load_dataset(config).train.labels
    batch = (*task.batch, "x", *labels, "ids")
    lists = [(group, entry) for group in ("regularizer", "reweighting") for entry in (config.get(group) or {}).values()]
    for group, entry in [("loss", config["loss"]), *lists]:
        function = bind(entry, group)
        for word in missing(function, task, batch, ("losses",) if group == "reweighting" else ()):
            raise UsageError(explain(unwrap(function).__name__, word, task))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process works in a run's folder; the lock goes with the process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise UsageError(
            f"outputs: cannot write to {folder}: {error.strerror}. Choose a folder that you may write to "
            "with outputs=... or LOSSBENCH_OUTPUTS."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock before may have removed the file: then this lock keeps nobody out.
            held = os.path.samestat(os.fstat(file.fileno()), os.stat(folder / ".lock"))
        except OSError:
            held = False
        if not held:
            raise Busy(f"{folder}: another process is working on this run. Wait for it, or stop it.")
        try:
            yield
        finally:
            (folder / ".lock").unlink(missing_ok=True)


def execute(
    prepared: Prepared, watcher: Watcher | None = None, stop: Callable[[], bool] = lambda: False, ranks: Any = None
) -> dict[str, Any]:
    """Train the run and write its record; a finished one is only read. Returns the record.

    ranks   the processes that train it together, this one is the first of; see lossbench/distributed.py
    Raises UsageError for what was found wrong before step 0 (nothing is recorded then) and RunError, after recording
    it, for a failure while training; Interrupted when ``stop`` came true.
    """
    watcher = watcher or Silent()
    other = (prepared.record or {}).get("run", prepared.run)
    if other != prepared.run:
        raise UsageError(f"{prepared.folder} belongs to run {other}, not to {prepared.run}. Choose another outputs=...")
    if prepared.finished:
        found = prepared.record
        assert found is not None
        return found
    with locked(prepared.folder):
        if prepared.finished:  # by another process, between the look and the lock
            found = prepared.record
            assert found is not None
            return found
        return _execute(prepared, watcher, stop, ranks)


def _execute(prepared: Prepared, watcher: Watcher, stop: Callable[[], bool], ranks: Any) -> dict[str, Any]:
    config, folder = prepared.config, prepared.folder
    lacking: Exception | None = None
    try:
        train_prerequisites(prepared, watcher, stop)
    except (RunError, UsageError) as failure:
        lacking = failure
    started = datetime.datetime.now(datetime.UTC)
    clock = time.perf_counter()
    device = resolve_device(config["device"])
    configure_torch(config, device)
    energy = records.Energy(device)
    checkpoint.remove_torn(folder)
    if (folder / "record.json").exists() and prepared.record is None:
        watcher.warn(f"{folder / 'record.json'} is damaged; the run is done again")
    error: dict[str, str] | None = None
    outcome = Outcome("failed", 0)
    trainer = None
    parts: dict[str, Any] = {}
    try:
        if lacking is not None:
            raise lacking
        parts = build(config, device)
        if ranks is not None:
            parts = ranks.parts(parts, config)
        resume = checkpoint.latest(folder, prepared.run, watcher.warn, device)
        if resume is None and config["continue_from"] is not None:
            from lossbench import continuing

            resume = continuing.start(config, prepared.run, folder, parts["objective"], parts["source"], device)
        metrics = records.Metrics(folder, keep_until_step=resume["step"] if resume else None)
        text = yaml.dump(config, Dumper=YAML, sort_keys=False)
        checkpoint.write_atomically(folder / "config.yaml", text.encode(), durable=False)
        (folder / "record.json").unlink(missing_ok=True)  # of an earlier attempt that failed
        watcher.started(prepared, resume["step"] if resume else None)
        before, number = len((resume or {}).get("ranks", ())) or 1, ranks.size if ranks is not None else 1
        if resume is not None and before != number:
            watcher.warn(
                f"trained by {before} process{'es' * (before > 1)} until here and by {number} from here on: results "
                "stay the same up to rounding, but dropout and augmentations of data that are read draw other numbers"
            )
        if ranks is not None:
            ranks.begin(resume)

        def report(row: dict[str, Any]) -> None:
            metrics.append(row)
            watcher.row(row)

        training = {key: value for key, value in parts.items() if key != "shapes"}
        trainer = (Trainer if ranks is None else ranks.trainer)(
            run=prepared.run, folder=folder, report=report, progress=watcher.progress, stop=stop, **training
        )
        if config["profile"]:
            from lossbench import profiling

            outcome = profiling.fit(trainer, resume)
        else:
            outcome = trainer.fit(resume)
    except Interrupted:
        raise
    except UsageError:
        if not checkpoint.checkpoints(folder) and prepared.record is None:
            for name in ("config.yaml", "metrics.jsonl"):
                (folder / name).unlink(missing_ok=True)
            _remove_if_empty(folder)
        raise
    except Exception as failed:
        caught = failed if ranks is None else ranks.cause(failed)
        error = {"type": type(caught).__name__, "message": str(caught), "traceback": traceback.format_exc()}
        if trainer is not None:
            outcome = Outcome("failed", trainer.step, trainer.best, trainer.last_row, train_seconds=trainer.seconds)
    if outcome.message is not None:
        error = {"type": "Diverged", "message": outcome.message, "traceback": ""}
    source, model = parts.get("source"), parts.get("model")  # none where building them failed
    record = write_results(
        prepared,
        outcome,
        error=error,
        weights=trainer.weights() if trainer else {},
        source=source,
        shapes=parts.get("shapes"),
        parameters=sum(p.numel() for p in model.parameters()) if model else None,
        device=device,
        started=started,
        wall_seconds=time.perf_counter() - clock,
        energy_joules=energy.joules(),
        shared_device=bool(int(os.environ.get("LOSSBENCH_SHARED_DEVICE", "0"))),
        resumed=trainer.resumed if trainer else 0,
        ranks=ranks,
    )
    if outcome.status == "failed":
        assert error is not None
        raise RunError(f"{prepared.name} failed: {error['type']}: {error['message']}")
    return records.finite(record)


def write_results(
    prepared: Prepared,
    outcome: Outcome,
    *,
    error: Mapping[str, str] | None,
    weights: Mapping[str, Any],
    source: Source | None,
    shapes: tuple[Sequence[int], int] | None,
    parameters: int | None,
    device: torch.device,
    started: datetime.datetime,
    wall_seconds: float,
    energy_joules: float | None,
    shared_device: bool,
    resumed: int,
    ranks: Any = None,
) -> dict[str, Any]:
    """What every run leaves behind, however it was trained: the row of test metrics, the selected weights, the record
    (last); its checkpoints go. Returns the record."""
    config, folder = prepared.config, prepared.folder
    if outcome.status == "completed":
        assert source is not None
        records.append(folder, {"step": outcome.best["step"], **_only(outcome.best, "test/")})
        if config["checkpoint"]["keep_weights"]:
            assert shapes is not None
            input_shape, num_outputs = list(shapes[0]), shapes[1]
            payload = {"config": config, "input_shape": input_shape, "num_outputs": num_outputs, "model": weights}
            checkpoint.write(folder / WEIGHTS, payload, durable=False)  # damaged ones show by their digest
    examples = outcome.steps * source.batch_size if source else 0
    seconds = max(outcome.train_seconds, 1e-9)
    record = {
        "schema": records.SCHEMA,
        "run": prepared.run,
        "folder": prepared.name,
        "status": outcome.status,
        "error": error,
        "choices": config["choices"],
        "config": config,
        "overrides": list(prepared.overrides),
        "seed": config["seed"],
        "best": outcome.best,
        "final": outcome.final,
        "steps": outcome.steps,
        "epochs": outcome.steps / source.steps_per_epoch if source else 0.0,
        "examples": examples,
        "parameters": parameters,
        "time": {
            "started": started.isoformat(timespec="seconds"),
            "wall_seconds": wall_seconds,
            "train_seconds": outcome.train_seconds,
            "examples_per_second": examples / seconds,
            "steps_per_second": outcome.steps / seconds,
        },
        "memory": {"peak_bytes": records.peak_memory(device)},
        "energy_joules": energy_joules,
        "environment": records.environment(device) | ({"ranks": ranks.size} if ranks is not None else {}),
        "shared_device": shared_device,
        "resumed": resumed,
    }
    records.write(folder, record)
    if outcome.status != "failed":
        for path in checkpoint.checkpoints(folder):
            checkpoint.remove(path)
    return record


def _only(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key.startswith(prefix)}


def _remove_if_empty(folder: Path) -> None:
    """After a usage error nothing is left behind."""
    (folder / ".lock").unlink(missing_ok=True)
    for path in (folder, *list(folder.parents)[:4]):
        try:
            path.rmdir()
        except OSError:
            return


def configure_torch(config: Mapping[str, Any], device: torch.device) -> None:
    torch.set_num_threads(config["threads"])
    if config["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if torch.are_deterministic_algorithms_enabled() != config["deterministic"]:
        torch.use_deterministic_algorithms(config["deterministic"])  # imports the compiler: a second of start-up
    torch.backends.cudnn.benchmark = not config["deterministic"]
    tf32 = config["precision"]["tf32"]
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
