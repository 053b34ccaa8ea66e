"""The process that mirrors runs to wandb by reading their folders; the training neither waits for it nor knows it.

    python -m lossbench.loggers.wandb_mirror FOLDER... [--project P] [--mode auto|online|offline] [--parent PID]

One wandb run for each run, under an id that depends on the run alone, so that mirroring again never makes a second one.
`wandb.json` in the run's folder says what wandb has. Whenever the mirror starts anew (killed, wandb's service gone),
an online run goes on after the rows that the server has; an offline one, which cannot be continued, is written whole
again and the unfinished one removed. Exit code 1, and one line on standard error, where it had to give up.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from lossbench.loggers.run_files import (
    FolderLock,
    Rows,
    digest,
    is_mirrored,
    read_config,
    read_json,
    read_marker,
    run_id,
    run_name,
    was_uploaded,
    write_marker,
)
from lossbench.metrics import higher_is_better

FINISHED = ("completed", "diverged")  # these are not run again, so such a record is never a leftover
LIVE = 16  # runs followed at the same time; of more that train at once, the rest is mirrored when they end
FAILURES = 4  # of wandb within WINDOW seconds, after which the mirror gives up
WINDOW = 600.0
HANG = 900  # seconds in one call to wandb, after which it will not come back
WARNING = "wandb mirror:"  # begins the one line on standard error
# Of a surrounding wandb run or sweep; they would win over what a run of its own needs.
FOREIGN = ("SERVICE", "RUN_ID", "RESUME", "NAME", "RUN_GROUP", "JOB_TYPE", "TAGS", "SWEEP_ID", "DIR")


class WandbFailed(Exception):
    """A call to wandb raised; the same may work again."""


class GaveUp(Exception):
    """Nothing more can be mirrored: the message is the one warning line."""


@dataclass(frozen=True)
class Options:
    """What the command line gives."""

    project: str
    entity: str | None
    mode: str
    group: str | None
    tags: tuple[str, ...]
    directory: Path
    poll: float
    patience: float


# --- what wandb is told ------------------------------------------------------------------------------------------


def resolved_mode(mode: str) -> str:
    """'auto' is online where wandb would find a key, otherwise offline; WANDB_MODE decides before both."""
    if mode != "auto":
        return mode
    asked = os.environ.get("WANDB_MODE", "")
    if asked:
        return asked if asked in ("online", "offline", "disabled") else "offline"
    return "online" if os.environ.get("WANDB_API_KEY") or _has_login() else "offline"


def _has_login() -> bool:
    import netrc
    from urllib.parse import urlparse

    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    names = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for name in names:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if netrc.netrc(str(Path(name).expanduser())).authenticators(host):
                return True
    return False


def dashboard_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved config, and beside it flat names to group, colour and filter by: loss_name, model_name ..."""
    flat: dict[str, Any] = {}
    for group, choice in (config.get("choices") or {}).items():
        if group == "logger":
            continue
        names = choice if isinstance(choice, list) else [choice]
        flat[f"{group}_name"] = "+".join(str(name) for name in names if name is not None) or "none"
    optimizer = config.get("optimizer")
    if isinstance(optimizer, Mapping) and "lr" in optimizer:
        flat["learning_rate"] = optimizer["lr"]
    if (family := _family(config)) is not None:
        flat["family"] = family
    return {**config, **flat}


def _family(config: Mapping[str, Any]) -> str | None:
    """Of the loss: the folder that its module lies in."""
    match = re.search(r"\.losses\.(\w+)\.", str((config.get("loss") or {}).get("_target_", "")))
    return match[1] if match else None


def labels(config: Mapping[str, Any], group: str | None, tags: Sequence[str]) -> dict[str, Any]:
    """The group, job type and tags of a run."""
    choices = config.get("choices") or {}
    own = [choices.get(key) for key in ("dataset", "model", "loss", "optimizer", "schedule", "paper")]
    named = dict.fromkeys(str(tag)[:64] for tag in (*own, _family(config), *tags) if tag)  # 64: wandb's limit
    return {
        "group": group or f"{choices.get('dataset')}/{choices.get('model')}",
        "job_type": choices.get("paper") or choices.get("loss"),
        "tags": list(named),
    }


def best_of(metric: str) -> str:
    """Which value of a curve the summary keeps: 'min' of losses and errors, 'max' of everything else."""
    prefix, _, name = metric.partition("/")
    return "min" if prefix == "train" or not higher_is_better(name) else "max"


def extremes(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The best value of each curve over all rows. wandb keeps it too, but a resumed run of wandb knows only the rows
    after it was resumed."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        for key, value in row.items():
            if value is not None and key.startswith(("train/", "validation/")):
                which = best_of(key)
                best = found.setdefault(key, {which: value})
                best[which] = (min if which == "min" else max)(best[which], value)
    return found


def summary_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """best/*, final/* and test/*, the outcome and the cost, from a run's record."""
    values: dict[str, Any] = {}
    for part in ("best", "final"):
        for key, value in (record.get(part) or {}).items():
            values[key if key.startswith("test/") else f"{part}/{key}"] = value
    error = record.get("error")
    values |= {
        "status": record.get("status"),
        "error": f"{error['type']}: {error['message']}" if error else None,
        "run": record.get("run"),
        "peak_bytes": (record.get("memory") or {}).get("peak_bytes"),
        **{key: record.get(key) for key in ("steps", "epochs", "examples", "parameters", "energy_joules", "resumed")},
        **{key: value for key, value in (record.get("time") or {}).items() if key != "started"},
    }
    return {key: value for key, value in values.items() if value is not None}


# --- wandb -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def wandb_call() -> Iterator[None]:
    """Within: whatever wandb raises is either final or worth another try."""
    signal.alarm(HANG)
    try:
        yield
    except Exception as error:
        # A wrong key or a refused project stays wrong however often it is tried.
        final = type(error).__name__ in ("UsageError", "AuthenticationError")
        raise (GaveUp if final else WandbFailed)(f"{type(error).__name__}: {str(error).strip()}") from error
    finally:
        signal.alarm(0)


def _hangs(number: int, frame: FrameType | None) -> None:
    print(_warning(f"wandb did not answer for {HANG} s"), file=sys.stderr, flush=True)
    os._exit(1)


def _warning(reason: str) -> str:
    reason = " ".join(reason.split())
    return f"{WARNING} gave up: {reason}; the runs' files are complete, `lossbench sync` pushes them later"


def init(folder: Path, config: Mapping[str, Any], mode: str, options: Options) -> Any:
    import wandb

    wanted: dict[str, Any] = {
        "console": "off",
        "silent": True,
        "disable_git": True,  # commit, machine and versions are in the run's record; this process's would mislead
        "disable_code": True,
        "x_disable_meta": True,
        "x_disable_stats": True,
        "x_save_requirements": False,
        "init_timeout": 30.0,  # each of a few attempts
        "finish_timeout": 120.0,
        "finish_timeout_raises": True,
    }
    settings = wandb.Settings(**{k: v for k, v in wanted.items() if k in wandb.Settings.model_fields})
    run = wandb.init(
        project=options.project,
        entity=options.entity,
        id=run_id(folder),
        name=run_name(folder)[-128:],
        config=dashboard_config(config),
        mode=mode,  # type: ignore[arg-type]
        dir=str(options.directory),
        resume="allow",
        reinit="create_new",
        settings=settings,
        **labels(config, options.group, options.tags),
    )
    for axis in ("step", "examples", "seconds"):
        run.define_metric(axis)
    return run


class Followed:
    """One run's folder and, while it is open, its wandb run."""

    def __init__(self, folder: Path, not_before: float | None):
        self.folder = folder
        self.not_before = not_before  # a record of an earlier attempt that failed is older
        self.lock = FolderLock(folder)
        self.rows = Rows(folder)
        self.run: Any = None
        self.sent = 0
        self.defined: set[str] = set()
        self.marker: dict[str, Any] = {}
        self.over = False
        self.last_change = time.monotonic()

    def record(self, ended: bool) -> dict[str, Any] | None:
        """The record, unless a new attempt is about to replace it."""
        path = self.folder / "record.json"
        found = read_json(path)
        if found is None or ended or self.not_before is None or found.get("status") in FINISHED:
            return found
        with contextlib.suppress(OSError):
            if path.stat().st_mtime >= self.not_before:
                return found
        return None

    def step(self, options: Options, mode: str, may_open: bool, ended: bool, lost: bool) -> None:
        """Send what is new; close the run where it ended (``ended``: the parent says that it did; ``lost``: the
        parent is gone)."""
        record = self.record(ended)  # before the rows, of which there are no more once it is there
        rows = self.rows.read()
        abandoned = record is None and (
            ended or (lost and time.monotonic() - self.last_change > options.patience) or self._gone()
        )
        if self.run is None:
            if record is None and not rows:
                self.over = abandoned
                return
            if not (may_open or record) or not self._opened(options, mode, record is not None, abandoned):
                return
        if len(rows) > self.sent:
            self.last_change = time.monotonic()
            self._send(rows)
        if record is not None or abandoned:
            self._finish(record, rows)

    def _gone(self) -> bool:
        return not self.folder.is_dir() and (self.run is not None or bool(self.rows.rows))

    def _opened(self, options: Options, mode: str, has_record: bool, abandoned: bool) -> bool:
        try:
            free = self.lock.acquire()
        except FileNotFoundError:
            self.over = abandoned
            return False
        if not free:
            self.over = abandoned  # another mirror follows this run; wait for its end only while the run may go on
            return False
        target: dict[str, Any] = {"online": mode == "online", "project": options.project, "entity": options.entity}
        if has_record and is_mirrored(self.folder, **target):
            self.close()
            return False
        config = read_config(self.folder) or (read_json(self.folder / "record.json") or {}).get("config")
        if config is None:
            if abandoned:
                self.close()
            return False
        old = read_marker(self.folder)
        with wandb_call():
            self.run = init(self.folder, config, mode, options)
            # The server knows how many rows it has, whatever became of the process that sent them.
            self.sent = self.run.starting_step
            directory, url = self.run.settings.sync_dir, None if mode != "online" else self.run.url
        remove_superseded(old, run_id(self.folder), Path(directory))
        self.defined = set()
        self.marker = {
            "id": run_id(self.folder),
            "project": options.project,
            "entity": options.entity,
            "mode": mode,
            "directory": directory,
            "url": url,
            "rows": self.sent,
            "done": False,
        }
        write_marker(self.folder, self.marker)
        return True

    def _send(self, rows: list[dict[str, Any]]) -> None:
        with wandb_call():
            for row in rows[self.sent :]:
                values = {key: value for key, value in row.items() if value is not None}  # null: NaN, which has no dot
                for key in sorted(values.keys() - self.defined):
                    self._define(key)
                self.run.log(values)  # one wandb step for each row, and no `step=`, which drops what comes late
        self.sent = len(rows)
        write_marker(self.folder, self.marker | {"rows": self.sent})

    def _define(self, key: str) -> None:
        self.defined.add(key)
        if key.startswith(("train/", "validation/")):
            self.run.define_metric(key, step_metric="examples", summary=best_of(key))
        elif key == "learning_rate" or key.startswith("test/"):
            self.run.define_metric(key, step_metric="examples" if key == "learning_rate" else "step")

    def _finish(self, record: dict[str, Any] | None, rows: list[dict[str, Any]]) -> None:
        summary = extremes(rows) | ({"status": "interrupted"} if record is None else summary_of(record))
        with wandb_call():
            self.run.summary.update(summary)
            self.run.finish(exit_code=0 if summary.get("status") == "completed" else 1)
        found = digest(self.folder / "record.json") if record is not None else None
        with contextlib.suppress(FileNotFoundError):  # a folder that was removed meanwhile
            write_marker(self.folder, self.marker | {"rows": self.sent, "done": record is not None, "record": found})
        self.close()

    def close(self) -> None:
        self.run = None
        self.lock.release()
        self.over = True

    def forget(self) -> None:
        """Wandb's service is gone, and with it what it held: open again."""
        self.run = None
        self.lock.release()


def remove_superseded(marker: Mapping[str, Any], run: str, current: Path) -> None:
    """Delete unfinished or older offline copies of the run that ``current`` holds, so that `wandb sync` uploads one."""
    name = re.compile(rf"offline-run-\d+_\d+-{run}(-\d+)?")  # wandb appends a number within the same second
    for path in {*current.parent.glob("offline-run-*"), Path(marker.get("directory") or current)}:
        if path != current and name.fullmatch(path.name) and not was_uploaded({"directory": path}):
            shutil.rmtree(path, ignore_errors=True)


# --- the process -------------------------------------------------------------------------------------------------


class Inbox:
    """Folders to follow: those of the command line, and those that the parent writes to standard input, one JSON
    object a line: {"add": FOLDER}, and {"end": true} when no training is left."""

    def __init__(self, listen: bool, parent: int | None):
        self.listens = self.open = listen
        self.parent = parent
        self.ended = False
        self.lost = False
        self.text = b""
        if listen:
            os.set_blocking(0, False)

    def read(self) -> list[Path]:
        """The folders that have arrived since the last call."""
        if self.parent is not None and not _is_alive(self.parent):
            self.lost = True
        if self.open:
            with contextlib.suppress(BlockingIOError):
                while chunk := os.read(0, 1 << 16):
                    self.text += chunk
                self.open = False
        *lines, self.text = self.text.split(b"\n")
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if "add" in message:
                    found.append(Path(message["add"]))
                self.ended |= bool(message.get("end"))
        if self.listens and not self.open and not self.ended:  # the pipe broke: nobody is left to end it
            self.lost = True
        return found

    @property
    def complete(self) -> bool:
        return self.ended or self.lost or not self.open


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def follow(folders: Sequence[Path], inbox: Inbox, options: Options) -> None:
    """Mirror until every run has ended. Raises GaveUp."""
    mode = resolved_mode(options.mode)
    if mode == "disabled":
        return
    check_writable(options.directory)
    since = time.time() if inbox.parent is not None else None
    active = [Followed(folder, since) for folder in folders]
    failures: list[float] = []
    broken: dict[Path, str] = {}
    while True:
        active += [Followed(folder, time.time()) for folder in inbox.read()]
        live = sum(one.run is not None for one in active)
        for one in active:
            live -= one.run is not None
            try:
                one.step(options, mode, live < LIVE, inbox.ended, inbox.lost)
            except WandbFailed as error:
                failures = [moment for moment in failures if time.monotonic() - moment < WINDOW]
                failures.append(time.monotonic())
                if len(failures) >= FAILURES:
                    raise GaveUp(str(error)) from error
                time.sleep(options.poll * 3 ** len(failures))
                restart_service()
                for other in active:
                    other.forget()
            except OSError as error:  # of the run's own folder: the others go on
                broken[one.folder] = f"{one.folder}: {error.strerror}"
                one.close()
            live += one.run is not None
        active = [one for one in active if not one.over]
        if not active and inbox.complete:
            break
        time.sleep(options.poll)
    if broken:
        raise GaveUp(f"{len(broken)} runs could not be mirrored, such as {next(iter(broken.values()))}")


def restart_service() -> None:
    """The next init starts a new service."""
    import wandb

    with contextlib.suppress(Exception):  # it complains about the very connection that was lost
        wandb.teardown()


def check_writable(directory: Path) -> None:
    """wandb itself would fall back to a temporary folder without a word."""
    try:
        (directory / "wandb").mkdir(parents=True, exist_ok=True)
        probe = directory / "wandb" / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise GaveUp(f"cannot write to {directory}: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lossbench.loggers.wandb_mirror", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="folders of runs")
    parser.add_argument("--project", default="lossbench")
    parser.add_argument("--entity", help="user or team; wandb's default where it is not given")
    parser.add_argument("--mode", choices=("auto", "online", "offline"), default="auto")
    parser.add_argument("--group", help="the sweep's name; <dataset>/<model> where it is not given")
    parser.add_argument("--tag", action="append", default=[], dest="tags", help="one more tag; may be repeated")
    parser.add_argument("--directory", type=Path, default=Path("outputs"), help="wandb makes its folder wandb/ here")
    parser.add_argument("--parent", type=int, metavar="PID", help="whose runs these are: they end with it")
    parser.add_argument("--listen", action="store_true", help="further folders come on standard input")
    parser.add_argument("--poll", type=float, default=0.5, help="seconds between two looks")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds a run may be silent once PID is gone")
    given = parser.parse_args(arguments)
    missing = [str(folder) for folder in given.folders if not folder.is_dir()]
    if missing and given.parent is None:
        parser.error(f"no such folder: {', '.join(missing)}")
    for name in FOREIGN:
        os.environ.pop(f"WANDB_{name}", None)
    os.environ["WANDB_SILENT"] = "true"  # the log is for warnings
    signal.signal(signal.SIGALRM, _hangs)
    if given.parent is not None:
        os.nice(10)  # the training goes first
    options = Options(
        project=given.project,
        entity=given.entity,
        mode=given.mode,
        group=given.group,
        tags=tuple(given.tags),
        directory=given.directory.absolute(),
        poll=given.poll,
        patience=given.patience,
    )
    try:
        follow([folder.absolute() for folder in given.folders], Inbox(given.listen, given.parent), options)
    except GaveUp as reason:
        print(_warning(str(reason)), file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
