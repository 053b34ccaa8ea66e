"""The server that workers are forked from, as its parent holds it.

Standard library only: it can be started before torch is imported here, and imports it at the same time.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

# Of the GNU C library, for the server and its workers: what a step has freed is kept for the next one. By default large
# tensors go back to the system and are taken anew, page by page, many times in every evaluation of a stack of runs.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**28)}


class ServerProcess:
    """The server's process, as its parent holds it."""

    def __init__(self) -> None:
        # Its own environment: a pool of threads that was started in the server would hang in a forked worker.
        single = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
        code = f"import sys; sys.path[:] = {sys.path!r}; from lossbench.sweep.server import main; main({os.getpid()})"
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])  # until it ignores them
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "lossbench-sweep"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.printed,
                env={**MEMORY, **os.environ, **single},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.commands, self.messages = self.process.stdin, self.process.stdout.fileno()
        self.received = b""

    def tell(self, command: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end is seen where its messages are read
            self.commands.write(json.dumps(command).encode() + b"\n")
            self.commands.flush()

    def wait(self, seconds: float) -> list[dict[str, Any]] | None:
        """The messages that come within this time; None when the server has ended."""
        ready, _, _ = select.select([self.messages], [], [], seconds)
        if not ready:
            return []
        content = os.read(self.messages, 65536)
        if not content:
            return None
        *lines, self.received = (self.received + content).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self, at_once: bool = False) -> None:
        """End the server, and with it every worker that is left."""
        if at_once:
            self.process.kill()
        with contextlib.suppress(OSError):
            self.commands.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def last_words(self) -> str:
        self.printed.seek(0)
        return self.printed.read().decode(errors="replace").strip().rpartition("\n")[2]
