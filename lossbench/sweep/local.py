"""The local launcher: one process a run, forked from a server that has torch imported (lossbench/sweep/server.py).

A run that raises, hangs, is killed or crashes is its own loss only. No worker outlives its parent: the kernel ends the
server with the parent and the workers with the server (Linux); elsewhere each of them looks after its parent itself.
"""

import contextlib
import datetime
import json
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from lossbench.errors import Busy, RunError, UsageError
from lossbench.preparing import Prepared
from lossbench.results import record as records
from lossbench.run import locked
from lossbench.sweep import server
from lossbench.sweep.server_process import ServerProcess

Slot = tuple[str | None, int]  # (value of CUDA_VISIBLE_DEVICES or None, number)

MOST_RESTARTS = 3  # of the server in a row, without a run that ended in between
LOOK_AGAIN_SECONDS = 1.0  # at a run that another process is working on
TAIL = 60  # lines of what a crashed run has printed, for its record


class Display:
    """Whoever follows a sweep: its own display, a logger; this one does nothing."""

    def started(self, prepared: Prepared) -> None: ...

    def progress(self, prepared: Prepared, step: int, total: int) -> None: ...

    def ended(self, prepared: Prepared, record: Mapping[str, Any]) -> None: ...

    def warn(self, text: str) -> None: ...

    def refresh(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Job:
    """A run to do: its line in the plan, and which attempt at it this is.

    more   further runs {line: run} that the same worker trains with it, as one program (lossbench/vectorized)
    """

    line: int
    prepared: Prepared
    attempt: int = 1
    not_before: float = 0.0
    waited: bool = False  # for another process that works on it
    more: Mapping[int, Prepared] = field(default_factory=dict)

    @property
    def runs(self) -> dict[int, Prepared]:
        return {self.line: self.prepared, **self.more}


@dataclass
class Worker:
    job: Job
    slot: Slot
    record_before: tuple[int, int] | None  # what told the record of an earlier attempt from a new one
    started: float | None = None  # None until the server has forked it
    step: int = 0
    asked_to_stop: float | None = None
    killed: bool = False
    timed_out: bool = False
    refused: str = ""


class LocalLauncher:
    """Runs pending runs of a plan in slots.

    plan        the frozen plan's file
    slots       at a time on each device; None: cores / threads on the processor, 1 on a GPU
    retries     further attempts at a run whose process was killed or crashed; it goes on from its checkpoint
    grace       seconds between asking a run to stop and killing it
    fail_fast   stop after so many failures with the same error
    time_limit  seconds that one run may take
    """

    def __init__(
        self,
        plan: Path,
        display: Display,
        *,
        slots: Annotated[int, Ge(1)] | None = None,
        retries: Annotated[int, Ge(0)] = 1,
        grace: Annotated[float, Ge(0)] = 10.0,
        fail_fast: int | None = None,
        time_limit: float | None = None,
    ):
        self.plan, self.display = plan, display
        self.slots, self.retries, self.grace = slots, retries, grace
        self.fail_fast, self.time_limit = fail_fast, time_limit
        self.failures: Counter[str] = Counter()
        self.stopping = False
        self.interrupted = False
        self.workers: dict[int, Worker] = {}
        self.keys = iter(range(1 << 62))
        self.restarts = 0
        self.shared = False

    def run(self, pending: Mapping[int, Prepared], server: ServerProcess | None = None) -> None:
        """Until every pending run ({line of the plan: run}) has ended, or nothing more may be started.

        Raises RunError where no process can be had, and KeyboardInterrupt at a second signal.
        """
        self.free = self._slots(list(pending.values()))
        self.queue = deque(self._jobs(pending))
        self.per_device = len(self.free) // len({name for name, _ in self.free})
        self.shared = self.per_device > 1
        self.warm = representatives(pending)
        self.server = server or ServerProcess()
        self.server.tell({"plan": str(self.plan), "warm": self.warm})
        whole = False
        try:
            with self._signals():
                while (self.queue and not self.stopping) or self.workers:
                    self._fill()
                    messages = self.server.wait(self._patience())
                    if self.interrupted and not self.stopping:
                        self.display.warn("stopping: running runs write a checkpoint; once more stops at once")
                        self._stop()
                    if messages is None:
                        self._restart()
                    for message in messages or ():
                        self._take(message)
                    self._enforce_limits()
                    self.display.refresh()
                    if self.stopping and all(worker.started is None for worker in self.workers.values()):
                        break  # the server may be busy for long, with data that nobody wants any more
            whole = not self.workers
        finally:
            self.server.close(at_once=not whole)

    def _jobs(self, pending: Mapping[int, Prepared]) -> list[Job]:
        return [Job(line, prepared) for line, prepared in pending.items()]

    # --- starting ------------------------------------------------------------------------------------------------

    def _slots(self, pending: Sequence[Prepared]) -> list[Slot]:
        devices = {prepared.config["device"] for prepared in pending}
        if any(":" in device for device in devices):  # one device, by its number
            return [(None, number) for number in range(self.slots or 1)]
        if "cuda" in devices:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            names = visible.split(",") if visible else [str(i) for i in range(_cuda_devices())]
            # Where there is no device after all, the runs themselves say so.
            return [(name, number) for number in range(self.slots or 1) for name in names] or [(None, 0)]
        threads = max((prepared.config["threads"] for prepared in pending), default=1)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return [(None, number) for number in range(self.slots or max(1, cores // threads))]

    def _fill(self) -> None:
        """Start what can be started now. A run that somebody else has finished in the meantime is not done again."""
        for _ in range(len(self.queue)):
            if not self.free or self.stopping:
                return
            job = self.queue.popleft()
            if time.monotonic() < job.not_before:
                self.queue.append(job)
            elif not job.more and job.prepared.finished:
                self._over(job, job.prepared.record)
            else:
                self._start(job)

    def _start(self, job: Job) -> None:
        slot = self.free.pop(0)
        environment = {"LOSSBENCH_SHARED_DEVICE": str(int(self.shared)), "LOSSBENCH_SLOTS": str(self.per_device)}
        if slot[0] is not None:
            environment["CUDA_VISIBLE_DEVICES"] = slot[0]
        with contextlib.suppress(Busy, UsageError, FileNotFoundError):  # then the worker has something to say
            if _stamp(job.prepared) is not None:
                with locked(job.prepared.folder):
                    there = job.prepared.record  # of an attempt that failed; whoever looks must not take it for ours
                    if there is not None and there["run"] == job.prepared.run and not job.prepared.finished:
                        (job.prepared.folder / "record.json").unlink()
        key = next(self.keys)
        self.workers[key] = Worker(job, slot, _stamp(job.prepared))
        self.server.tell({"start": key, "lines": list(job.runs), "environment": environment})
        for prepared in job.runs.values():
            self.display.started(prepared)

    def _restart(self) -> None:
        """The server was killed, and its workers with it: none of them is to blame."""
        self.restarts += 1
        if self.restarts > MOST_RESTARTS:
            raise RunError(
                f"the process that workers are forked from ended {self.restarts} times in a row. It last printed: "
                f"{self.server.last_words() or 'nothing'}. Perhaps memory is short: try hydra.launcher.slots=1."
            )
        if not self.stopping:
            self.display.warn("the process that workers are forked from was killed; starting another one")
        self.server.close(at_once=True)
        for worker in self.workers.values():
            self.queue.append(worker.job)
            self.free.append(worker.slot)
        self.workers.clear()
        if not self.stopping:
            self.server = ServerProcess()
            self.server.tell({"plan": str(self.plan), "warm": self.warm})

    def _patience(self) -> float:
        """Seconds to wait for a message before there is something else to do."""
        waiting = [job.not_before - time.monotonic() for job in self.queue] if self.free and not self.stopping else []
        return max(0.01, min([server.PROGRESS_SECONDS, *waiting]))

    # --- what the server says ------------------------------------------------------------------------------------

    def _take(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"started": key}:
                self.workers[key].started = time.monotonic()
            case {"progress": key, "step": step, "total": total}:
                self.workers[key].step = step
                for prepared in self.workers[key].job.runs.values():
                    self.display.progress(prepared, step, total)
            case {"warn": key, "text": text}:
                self.display.warn(f"{self.workers[key].job.prepared.name}: {text}")
            case {"refused": key, "text": text}:
                self.workers[key].refused = text
            case {"ended": key, "code": code}:
                worker = self.workers.pop(key)
                self.free.append(worker.slot)
                self.restarts = 0
                self._ended(worker, code)

    def _ended(self, worker: Worker, code: int) -> None:
        """Take up what a worker left: its record, another attempt, or the record that it could not write."""
        job, prepared = worker.job, worker.job.prepared
        record = prepared.record if _stamp(prepared) != worker.record_before or prepared.finished else None
        if record is not None:
            self._over(job, record)
        elif code == server.BUSY:
            if not job.waited:
                self.display.warn(f"{prepared.name}: waiting for another process that is working on it")
            self._later(job)
        elif worker.timed_out:
            self._write(job, worker, "timed_out", "TimeLimit", f"the time limit of {self.time_limit:g} s was reached")
        elif self.stopping:
            return  # its checkpoint waits for the next time
        elif worker.refused:
            self._write(job, worker, "failed", "UsageError", worker.refused)
        elif job.attempt <= self.retries:
            self.display.warn(f"{prepared.name}: its process ended with {_ending(code)}; trying again")
            self.queue.append(replace(job, attempt=job.attempt + 1))
        else:
            self._write(job, worker, "failed", "ProcessDied", f"the process ended with {_ending(code)}")

    def _later(self, job: Job) -> None:
        self.queue.append(replace(job, not_before=time.monotonic() + LOOK_AGAIN_SECONDS, waited=True))

    def _write(self, job: Job, worker: Worker, status: str, kind: str, message: str) -> None:
        """The record of a run whose process did not live to write one."""
        prepared = job.prepared
        record = ended_without_record(prepared, status, kind, message, worker, self.shared)
        try:
            with locked(prepared.folder):
                there = prepared.record
                if there is None or (there["run"] == prepared.run and not prepared.finished):
                    records.write(prepared.folder, record)
        except Busy:  # somebody else took it up already
            return self._later(job)
        except (OSError, UsageError) as error:
            self.display.warn(f"{prepared.name}: its record cannot be written: {error}")
        self._over(job, record)

    def _over(self, job: Job, record: Mapping[str, Any] | None) -> None:
        assert record is not None
        self.display.ended(job.prepared, record)
        if record["status"] in ("failed", "timed_out"):
            first = (record["error"]["message"].splitlines() or [""])[0]
            self.failures[f"{record['error']['type']}: {first}"] += 1
            error, most = self.failures.most_common(1)[0]
            if self.fail_fast is not None and most >= self.fail_fast and not self.stopping:
                self.display.warn(f"fail_fast={self.fail_fast}: stopping, {most} runs failed with {error}")
                self._stop()

    # --- stopping ------------------------------------------------------------------------------------------------

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        for key, worker in self.workers.items():
            if worker.asked_to_stop is None:
                began = now if worker.started is None else worker.started
                if self.time_limit is not None and now - began > self.time_limit * len(worker.job.runs):
                    worker.timed_out = True
                    self._ask_to_stop(key, worker)
            elif now - worker.asked_to_stop > self.grace and not worker.killed:
                worker.killed = True
                self.server.tell({"signal": key, "number": signal.SIGKILL})

    def _ask_to_stop(self, key: int, worker: Worker) -> None:
        worker.asked_to_stop = time.monotonic()
        self.server.tell({"signal": key, "number": signal.SIGTERM})

    def _stop(self) -> None:
        """Finish nothing new; running runs write a checkpoint."""
        self.stopping = True
        for key, worker in self.workers.items():
            if worker.asked_to_stop is None:
                self._ask_to_stop(key, worker)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True  # the loop acts on it: nothing may be written from within a handler

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # Python allows handlers only there
            yield
            return
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def representatives(pending: Mapping[int, Prepared]) -> list[int]:
    """Lines of the plan that between them name every method and every data set of the pending runs."""
    found: dict[str, int] = {}
    for line, prepared in pending.items():
        config = prepared.config
        named = sorted(server.targets(config))
        data = [config["dataset"], config.get("variant"), config["data_seed"]]
        found.setdefault(json.dumps([named, data]), line)
    return list(found.values())


def ended_without_record(
    prepared: Prepared, status: str, kind: str, message: str, worker: Worker, shared: bool
) -> dict[str, Any]:
    """The record of a run whose process did not live to write one."""
    import torch

    log = prepared.folder / server.LOG
    printed = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
    last = (records.rows(prepared.folder) or [{}])[-1]
    seconds = time.monotonic() - worker.started if worker.started is not None else 0.0
    started = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    steps = max(worker.step, last.get("step", 0))
    return {
        "schema": records.SCHEMA,
        "run": prepared.run,
        "folder": prepared.name,
        "status": status,
        "error": {"type": kind, "message": message, "traceback": "\n".join(printed)},
        "choices": prepared.config["choices"],
        "config": prepared.config,
        "overrides": list(prepared.overrides),
        "seed": prepared.config["seed"],
        "best": {},
        "final": last,
        "steps": steps,
        "epochs": None,
        "examples": steps * prepared.config["batch_size"],
        "parameters": None,
        "time": {
            "started": started.isoformat(timespec="seconds"),
            "wall_seconds": seconds,
            "train_seconds": None,
            "examples_per_second": None,
            "steps_per_second": None,
        },
        "memory": {"peak_bytes": None},
        "energy_joules": None,
        "environment": records.environment(torch.device("cpu"))
        | {key: prepared.config[key] for key in ("device", "threads")},
        "shared_device": shared,
        "resumed": 0,
    }


def _stamp(prepared: Prepared) -> tuple[int, int] | None:
    """Which record is in the run's folder; a new one is another file."""
    try:
        found = os.stat(prepared.folder / "record.json")
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _ending(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    if code == server.INTERRUPTED:
        return "signal SIGTERM from outside, leaving a checkpoint"
    return f"exit code {code}"


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count()
