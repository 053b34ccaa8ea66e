"""The process that a sweep's workers are forked from: torch, the methods of the plan and its data are in memory once.

It is one thread and never touches CUDA, because neither threads nor a CUDA context survive a fork. It reads commands
from standard input and writes messages to standard output, one line of JSON each. When its parent ends, it ends, and
its workers with it.

Commands   {"plan": path, "warm": [line, ...]}              the frozen plan; which of its runs to prepare for
           {"start": key, "lines": [...], "environment": {}}   fork a worker for this line of the plan, or for several
                                                               runs as one program (lossbench/vectorized)
           {"signal": key, "number": number}
Messages   {"started": key}, {"ended": key, "code": number}                   negative: the signal that ended it
           {"progress": key, "step": number, "total": number}, {"warn": key, "text": ...}, {"refused": key, "text": ...}
           {"over": key, "run": hash}, {"alone": key, "run": hash, "text": ...}   of one of several runs: it has its
                                                               record; it cannot be trained with the others
"""

import contextlib
import gc
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from lossbench.interrupts import die_with_parent

FAILED, REFUSED, INTERRUPTED, BUSY = 3, 4, 5, 6  # exit codes of a worker; others but 0 are a crash
LOG = "output.log"  # in the folder of a run that failed: what it wrote to standard output and standard error
LONGEST = 4096  # bytes of a message: no longer write to a pipe is sure to stay in one piece
MOST_DATASETS = 4  # kept in the server
PROGRESS_SECONDS = 0.5
OURS = ("lossbench", "torch")  # packages of which the server imports what the plan names; others only in the worker


def main(parent: int) -> NoReturn:
    """The server's whole life; ``parent`` is the process that started it."""
    die_with_parent(parent)
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the parent decides
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
    commands, messages = os.dup(0), os.dup(1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # nothing that is printed here may get among the messages
    Server(commands, messages).serve()
    os._exit(0)


@dataclass
class Child:
    key: int
    folder: Path
    log: IO[bytes]  # a file without a name: whatever ends this process, nothing is left of it


class Server:
    def __init__(self, commands: int, messages: int):
        self.commands, self.messages = commands, messages
        self.lines: list[bytes] = []
        self.children: dict[int, Child] = {}
        self.woken, wake = os.pipe()
        for end in (self.woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        import_engine()

    def serve(self) -> None:
        """Until the parent closes its end; then no worker is left."""
        received = b""
        while True:
            ready, _, _ = select.select([self.commands, self.woken], [], [])
            if self.woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.woken, 4096)
                self._reap()
            if self.commands in ready:
                content = os.read(self.commands, 65536)
                if not content:
                    for pid in self.children:
                        os.kill(pid, signal.SIGKILL)
                    return
                *lines, received = (received + content).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))

    def _obey(self, command: dict[str, Any]) -> None:
        if "plan" in command:
            self.lines = Path(command["plan"]).read_bytes().splitlines()
            for line in command["warm"]:
                warm(json.loads(self.lines[line])["config"])
            rehearse(json.loads(self.lines[command["warm"][0]])["config"])
            gc.collect()
            gc.freeze()  # a collection in a worker would copy the pages of everything that is here
        elif "start" in command:
            self._start(command["start"], [self.lines[line] for line in command["lines"]], command["environment"])
        else:
            for pid, child in self.children.items():
                if child.key == command["signal"]:
                    os.kill(pid, command["number"])

    def _start(self, key: int, lines: list[bytes], environment: Mapping[str, str]) -> None:
        from lossbench.sweep.plan import from_line

        runs = [from_line(line) for line in lines]
        server = os.getpid()
        log = tempfile.TemporaryFile()  # noqa: SIM115
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # until the worker can take it
        try:
            pid = os.fork()
        except OSError as error:
            send(self.messages, {"refused": key, "text": f"no process could be started for it: {error.strerror}"})
            send(self.messages, {"ended": key, "code": REFUSED})
            log.close()
            return
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                os.close(self.commands)
                work(runs, key, self.messages, environment, server)
            finally:
                os._exit(1)
        self.children[pid] = Child(key, runs[0].folder, log)
        send(self.messages, {"started": key})

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self.children.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if code == 0:
                (child.folder / LOG).unlink(missing_ok=True)  # of an earlier attempt
            elif code not in (INTERRUPTED, BUSY):
                keep_log(child)
            child.log.close()
            send(self.messages, {"ended": child.key, "code": code})


def keep_log(child: Child) -> None:
    """What a run that failed has printed goes into its folder."""
    child.log.seek(0)
    content = child.log.read()
    if content:
        with contextlib.suppress(OSError):
            child.folder.mkdir(parents=True, exist_ok=True)
            (child.folder / LOG).write_bytes(content)


def send(messages: int, message: dict[str, Any]) -> None:
    line = json.dumps(message).encode() + b"\n"
    if len(line) > LONGEST:
        return send(messages, {**message, "text": message["text"][: len(message["text"]) // 2] + " ..."})
    with contextlib.suppress(OSError):  # the parent is gone, and so is this process in a moment
        os.write(messages, line)


def import_engine() -> None:
    """What every run imports, whatever its plan."""
    import importlib
    import pkgutil

    import hydra.utils  # noqa: F401
    import torch

    import lossbench.decisions
    import lossbench.metrics
    import lossbench.optimizers.check
    import lossbench.optimizers.eager
    import lossbench.optimizers.groups
    import lossbench.results.comparing
    import lossbench.run
    import lossbench.sweep.plan
    from lossbench.results import record

    for module in pkgutil.iter_modules(lossbench.metrics.__path__):  # tasks import them when they measure
        importlib.import_module(f"lossbench.metrics.{module.name}")
    torch.set_num_threads(1)
    record.environment(torch.device("cpu"))  # asks git, and keeps the answer
    record.peak_memory(torch.device("cpu"))


def warm(config: dict[str, Any]) -> None:
    """Import the methods that a run names, and load its data; what is wrong with them the run itself will say."""
    import importlib

    from lossbench.building import DATASETS, load_dataset

    for target in targets(config):
        module = target.rpartition(".")[0]
        with contextlib.suppress(Exception):
            if target.split(".")[0] in OURS:
                importlib.import_module(module)
    dataset = targets([config["dataset"], config.get("variant")])
    ours = all(target.startswith("lossbench.") for target in dataset)  # a user's own may start threads, or CUDA
    if ours and len(DATASETS) < MOST_DATASETS:
        with contextlib.suppress(Exception):
            load_dataset(config)


def rehearse(config: dict[str, Any]) -> None:
    """Build a run on the processor and drop it: what that looks up once in a process need not be looked up again."""
    import io

    import torch

    from lossbench.building import build

    if all(target.split(".")[0] in OURS for target in targets(config)):
        with contextlib.suppress(Exception):
            torch.save(build(config, torch.device("cpu"))["model"].state_dict(), io.BytesIO())


def targets(config: Any) -> set[str]:
    """Everything that a config names with ``_target_``, at any depth."""
    entries = config.values() if isinstance(config, Mapping) else config if isinstance(config, list) else ()
    own = {config["_target_"]} if isinstance(config, Mapping) and "_target_" in config else set()
    return own.union(*map(targets, entries))


class _Messages:
    """The worker's watcher: tells the parent of its progress, seldom enough to cost nothing."""

    def __init__(self, key: int, messages: int):
        self.key, self.messages = key, messages
        self.next = 0.0

    def started(self, prepared: Any, resumed_at: int | None) -> None: ...

    def row(self, row: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int) -> None:
        now = time.monotonic()
        if now >= self.next:
            self.next = now + PROGRESS_SECONDS
            send(self.messages, {"progress": self.key, "step": step, "total": total})

    def warn(self, text: str) -> None:
        send(self.messages, {"warn": self.key, "text": text})

    def ended(self, prepared: Any) -> None:
        send(self.messages, {"over": self.key, "run": prepared.run})

    def alone(self, prepared: Any, reason: str) -> None:
        send(self.messages, {"alone": self.key, "run": prepared.run, "text": reason})


def work(runs: list[Any], key: int, messages: int, environment: Mapping[str, str], server: int) -> NoReturn:
    """A worker's whole life."""
    import faulthandler
    import traceback

    from lossbench.errors import Busy, RunError, UsageError
    from lossbench.run import execute
    from lossbench.trainer import Interrupted

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(server)
    stopping = False

    def stop(number: int, frame: Any) -> None:
        nonlocal stopping
        stopping = True

    def asked_to_stop() -> bool:
        if not stopping and sys.platform != "linux" and os.getppid() != server:
            os._exit(1)
        return stopping

    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    faulthandler.enable(file=2)
    os.environ.update(environment)
    code = 0
    try:
        if len(runs) > 1:
            from lossbench.vectorized.engine import train

            train(runs, _Messages(key, messages), asked_to_stop, share=1 / int(environment["LOSSBENCH_SLOTS"]))
        else:
            execute(runs[0], _Messages(key, messages), asked_to_stop)
    except Interrupted:
        code = INTERRUPTED
    except Busy:
        code = BUSY
    except RunError:
        code = FAILED  # it is in the record
    except UsageError as error:
        send(messages, {"refused": key, "text": str(error)})
        code = REFUSED
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
