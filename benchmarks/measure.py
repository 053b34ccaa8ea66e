"""Times that can be compared on a machine that is doing other things too.

A time by itself says as much about the machine and its other users as about the code. So the sides of a comparison
run by turns in one process run, every pair of turns gives one ratio (or difference), and the figure is the median over
the pairs. The clock is the processor's own, which stands still while others run; the wall's is beside it.
"""

import contextlib
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

LOSSBENCH = str(Path(sys.executable).with_name("lossbench"))


@dataclass(frozen=True)
class Row:
    """One line of the table.

    value, low, high   the median over the turns, and its lower and upper quartile; None: there is none
    most, least        the target, value <= most or value >= least; neither: the line is there to be compared with
    absent             why there is no value
    details            everything else that was measured, for the JSON file
    """

    name: str
    what: str
    unit: str = "x"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    most: float | None = None
    least: float | None = None
    note: str = ""
    absent: str = "not built yet"
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        if self.most is not None:
            return f"<= {self.most:g}"
        return "" if self.least is None else f">= {self.least:g}"

    @property
    def verdict(self) -> str:
        """'met', 'MISSED', why there is no value, or nothing where there is no target."""
        if self.value is None:
            return self.absent
        if self.most is not None:
            return "met" if self.value <= self.most else "MISSED"
        if self.least is not None:
            return "met" if self.value >= self.least else "MISSED"
        return ""


class Seconds(NamedTuple):
    """The same piece of work by two clocks. The processor's counts all threads, and children that were waited for."""

    wall: float
    processor: float

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall - other.wall, self.processor - other.processor)

    def per(self, number: float) -> "Seconds":
        return Seconds(self.wall / number, self.processor / number)


def now() -> Seconds:
    """Since some moment; for differences."""
    return Seconds(time.perf_counter(), time.process_time())


def spread(values: Sequence[float]) -> dict[str, Any]:
    """value, low and high of a Row: median, lower and upper quartile."""
    if len(values) == 1:
        return {"value": values[0], "low": values[0], "high": values[0]}
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"value": middle, "low": low, "high": high}


def by_turns(*sides: Callable[[], Any], turns: int) -> list[list[Any]]:
    """The results of every side, one from each turn; every other turn goes backwards."""
    results: list[list[Any]] = [[] for _ in sides]
    for turn in range(turns):
        for i in range(len(sides))[:: 1 if turn % 2 == 0 else -1]:
            results[i].append(sides[i]())
    return results


def command(*arguments: str, **environment: str) -> Seconds:
    """A command from its start until it and all that it started have ended. Raises RuntimeError where it fails."""
    if sys.platform == "linux":  # what a command leaves behind becomes our child, so that its time is counted
        PR_SET_CHILD_SUBREAPER = 36
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(arguments, capture_output=True, text=True, env=variables)
    wall = time.perf_counter() - started
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return Seconds(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
