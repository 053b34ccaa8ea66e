"""Ctrl-C once: leave cleanly, with a checkpoint. Twice: stop now. And no process outlives the one that started it."""

import ctypes
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any


def die_with_parent(parent: int, *ignored: Any) -> None:
    """Ask the kernel to kill this process when its parent ends (Linux); end at once where it has already."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class StopOnSignal:
    """A context; calling it tells whether SIGINT or SIGTERM has come. A second one raises KeyboardInterrupt.

    patient   it does not: a process that torchrun has started gets the signals of a terminal twice
    """

    def __init__(self, patient: bool = False) -> None:
        self.stopping, self.patient = False, patient
        self.previous: dict[int, Any] = {}

    def __call__(self) -> bool:
        return self.stopping

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stopping and not self.patient:
            raise KeyboardInterrupt
        self.stopping = True

    def __enter__(self) -> "StopOnSignal":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
