"""The local launcher: one process a run, forked from a server that has torch imported.

A run that raises, hangs, is killed or crashes is its own loss only. No worker outlives its parent: the kernel ends it
with the server (Linux), and the server ends with the parent.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Protocol

from lossbench.errors import RunError, UsageError
from lossbench.results import record as records
from lossbench.run import Prepared, execute
from lossbench.trainer import Interrupted

PLAN_VARIABLE = "LOSSBENCH_PLAN"  # tells the server which plan's data to have in memory
PROGRESS_SECONDS = 0.5
KILL_AFTER_SECONDS = 10.0  # between asking a worker to stop and killing it


class Display(Protocol):
    """Whoever shows a sweep."""

    def started(self, prepared: Prepared) -> None: ...

    def progress(self, prepared: Prepared, step: int, total: int) -> None: ...

    def ended(self, prepared: Prepared, record: Mapping[str, Any]) -> None: ...

    def warn(self, text: str) -> None: ...

    def refresh(self) -> None: ...


@dataclass
class Worker:
    prepared: Prepared
    process: ForkServerProcess
    pipe: Connection
    slot: tuple[str | None, int]
    attempt: int
    started: float = field(default_factory=time.monotonic)
    asked_to_stop: float | None = None
    timed_out: bool = False
    refused: str | None = None  # a usage error that only showed when the run was built


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux); the parent is the server."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class _Messages:
    """The worker's watcher: sends progress to the parent, seldom enough to cost nothing."""

    def __init__(self, pipe: Connection):
        self.pipe = pipe
        self.next = 0.0

    def _send(self, message: tuple) -> None:
        with contextlib.suppress(OSError):
            self.pipe.send(message)

    def started(self, prepared: Prepared, resumed_at: int | None) -> None: ...

    def row(self, row: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int) -> None:
        now = time.monotonic()
        if now >= self.next:
            self.next = now + PROGRESS_SECONDS
            self._send(("progress", step, total))

    def warn(self, text: str) -> None:
        self._send(("warn", text))


def work(prepared: Prepared, pipe: Connection, environment: Mapping[str, str]) -> None:
    """A worker's whole life."""
    die_with_parent()
    if os.getppid() == 1:  # the server died before the request to the kernel
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    stopping = False

    def stop(number: int, frame: Any) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    os.environ.update(environment)
    try:
        execute(prepared, _Messages(pipe), lambda: stopping)
    except Interrupted:
        os._exit(0)
    except RunError:
        os._exit(0)  # it is in the record
    except UsageError as error:
        with contextlib.suppress(OSError):
            pipe.send(("refused", str(error)))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended_without_record(prepared: Prepared, status: str, kind: str, message: str) -> dict[str, Any]:
    """The record of a run whose process did not live to write one."""
    return {
        "schema": records.SCHEMA,
        "run": prepared.run,
        "folder": prepared.name,
        "status": status,
        "error": {"type": kind, "message": message, "traceback": ""},
        "choices": prepared.config["choices"],
        "config": prepared.config,
        "overrides": list(prepared.overrides),
        "seed": prepared.config["seed"],
        "best": {},
        "final": (records.rows(prepared.folder) or [{}])[-1],
    }


class LocalLauncher:
    """Runs a plan's pending runs in slots; ``run`` returns all their records.

    slots     at a time on each device; None: cores / threads on the processor, 1 on a GPU
    retries   further attempts at a run whose process was killed or crashed
    """

    def __init__(
        self,
        plan: Path,
        display: Display,
        *,
        slots: int | None = None,
        retries: int = 1,
        fail_fast: int | None = None,
        time_limit: float | None = None,
    ):
        self.plan, self.display = plan, display
        self.slots, self.retries, self.fail_fast, self.time_limit = slots, retries, fail_fast, time_limit
        self.records: list[dict[str, Any]] = []
        self.failures: Counter[str] = Counter()
        self.stopping = False
        self.workers: list[Worker] = []

    def run(self, pending: Sequence[Prepared]) -> list[dict[str, Any]]:
        queue = deque((prepared, 1) for prepared in pending)
        free = self._slots(pending)
        context = self._context()
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while (queue and not self.stopping) or self.workers:
                while queue and free and not self.stopping:
                    self._start(context, *queue.popleft(), slot=free.pop(0))
                for worker in self._wait():
                    free.append(worker.slot)
                    if self._ended(worker):
                        queue.append((worker.prepared, worker.attempt + 1))
                self.display.refresh()
        finally:
            for worker in self.workers:
                worker.process.kill()
            for number, handler in previous.items():
                signal.signal(number, handler)
        return self.records

    def _slots(self, pending: Sequence[Prepared]) -> list[tuple[str | None, int]]:
        """(value of CUDA_VISIBLE_DEVICES or None, number) of every slot."""
        devices = {prepared.config["device"] for prepared in pending}
        if any(device.startswith("cuda:") for device in devices):  # the runs name it themselves
            return [(None, number) for number in range(self.slots or 1)]
        if "cuda" in devices:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            names = visible.split(",") if visible else [str(i) for i in range(_cuda_devices())]
            return [(name, number) for number in range(self.slots or 1) for name in names]
        threads = max((prepared.config["threads"] for prepared in pending), default=1)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return [(None, number) for number in range(self.slots or max(1, cores // threads))]

    def _context(self) -> Any:
        os.environ[PLAN_VARIABLE] = str(self.plan)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["lossbench.sweep.warm"])
        return context

    def _start(self, context: Any, prepared: Prepared, attempt: int, slot: tuple[str | None, int]) -> None:
        (prepared.folder / "record.json").unlink(missing_ok=True)  # of an earlier attempt that failed
        receive, send = context.Pipe(duplex=False)
        environment = {"LOSSBENCH_SHARED_DEVICE": "1" if self.slots and self.slots > 1 else "0"}
        if slot[0] is not None:
            environment["CUDA_VISIBLE_DEVICES"] = slot[0]
        process = context.Process(target=work, args=(prepared, send, environment))
        process.start()
        send.close()
        self.workers.append(Worker(prepared, process, receive, slot, attempt))
        self.display.started(prepared)

    def _wait(self) -> list[Worker]:
        """Handle messages and time limits until a worker ends or a moment has passed."""
        handles = [w.process.sentinel for w in self.workers] + [w.pipe for w in self.workers if not w.pipe.closed]
        ready = wait(handles, timeout=PROGRESS_SECONDS)
        ended = []
        for worker in list(self.workers):
            if worker.pipe in ready:
                self._receive(worker)
            if worker.process.sentinel in ready:
                self._receive(worker)
                worker.process.join()
                self.workers.remove(worker)
                ended.append(worker)
            else:
                self._limit(worker)
        return ended

    def _receive(self, worker: Worker) -> None:
        try:
            while not worker.pipe.closed and worker.pipe.poll():
                kind, *content = worker.pipe.recv()
                if kind == "progress":
                    self.display.progress(worker.prepared, *content)
                elif kind == "warn":
                    self.display.warn(f"{worker.prepared.name}: {content[0]}")
                else:
                    worker.refused = content[0]
        except (EOFError, OSError):
            worker.pipe.close()

    def _limit(self, worker: Worker) -> None:
        now = time.monotonic()
        if self.time_limit is not None and now - worker.started > self.time_limit and worker.asked_to_stop is None:
            worker.timed_out = True
            worker.asked_to_stop = now
            worker.process.terminate()
        if worker.asked_to_stop is not None and now - worker.asked_to_stop > KILL_AFTER_SECONDS:
            worker.process.kill()

    def _ended(self, worker: Worker) -> bool:
        """Take up what a worker left; True: try the run again."""
        prepared, code = worker.prepared, worker.process.exitcode
        record = prepared.record
        if record is None and worker.timed_out:
            limit = f"the time limit of {self.time_limit:g} s was reached"
            record = ended_without_record(prepared, "timed_out", "TimeLimit", limit)
        elif record is None and worker.refused is not None:
            record = ended_without_record(prepared, "failed", "UsageError", worker.refused)
        elif (record is None and worker.asked_to_stop is not None) or (record is None and code == 0):
            return False  # stopped on request: its checkpoint waits for the next time
        elif record is None:
            if worker.attempt <= self.retries and not self.stopping:
                self.display.warn(f"{prepared.name}: its process ended with {_ending(code)}; trying again")
                return True
            record = ended_without_record(prepared, "failed", "ProcessDied", f"the process ended with {_ending(code)}")
        if not (prepared.folder / "record.json").exists():
            prepared.folder.mkdir(parents=True, exist_ok=True)
            records.write(prepared.folder, record)
        self.records.append(record)
        self.display.ended(prepared, record)
        if record["status"] in ("failed", "timed_out"):
            self.failures[record["error"]["type"] + record["error"]["message"]] += 1
            most = self.failures.most_common(1)[0][1]
            if self.fail_fast is not None and most >= self.fail_fast and not self.stopping:
                self.display.warn(f"fail_fast={self.fail_fast}: stopping after {most} equal failures")
                self._stop()
        return False

    def _stop(self) -> None:
        self.stopping = True
        for worker in self.workers:
            worker.asked_to_stop = time.monotonic()
            worker.process.terminate()

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.display.warn("stopping: running runs write a checkpoint; once more stops at once")
        self._stop()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count()
