"""What a person sees of a sweep: a live table on a terminal, one line for each finished run in a pipe."""

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lossbench.display import say
from lossbench.preparing import Prepared
from lossbench.sweep.local import Display

REFRESH_SECONDS = 0.1
SHOWN = 16  # running runs in the live table


class SweepDisplay(Display):
    """total: runs to do; done_before: runs of the plan that were finished already."""

    def __init__(self, total: int, done_before: int):
        self.total, self.done_before = total, done_before
        self.counts: Counter[str] = Counter()
        self.running: dict[str, tuple[int, int]] = {}
        self.started_at = time.monotonic()
        self.live: Any = None
        self.next_refresh = 0.0
        if sys.stdout is not None and sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(highlight=False, markup=False, emoji=False, legacy_windows=False)
            self.live = Live(self._table(), console=console, refresh_per_second=4, transient=True)
            self.live.start()

    def started(self, prepared: Prepared) -> None:
        self.running[prepared.name] = (0, 0)

    def progress(self, prepared: Prepared, step: int, total: int) -> None:
        self.running[prepared.name] = (step, total)

    def ended(self, prepared: Prepared, record: Mapping[str, Any]) -> None:
        self.running.pop(prepared.name, None)
        self.counts[record["status"]] += 1
        number = sum(self.counts.values())
        self.tell(f"[{number}/{self.total}] {record['status']:9} {prepared.name}  {headline(record)}".rstrip())

    def warn(self, text: str) -> None:
        if self.live is None:
            with contextlib.suppress(OSError):
                print(f"lossbench: {text}", file=sys.stderr, flush=True)
        else:
            self.tell(f"lossbench: {text}")

    def tell(self, text: str) -> None:
        if self.live is not None:
            self.live.console.print(printable(text), soft_wrap=True)
        else:
            tell(text)

    def refresh(self) -> None:
        now = time.monotonic()
        if self.live is not None and now >= self.next_refresh:
            self.next_refresh = now + REFRESH_SECONDS
            self.live.update(self._table())

    def close(self) -> None:
        if self.live is not None:
            self.running.clear()
            self.live.stop()
            self.live = None

    def _left(self) -> float | None:
        """Seconds until all is done, if the rest goes as what is done did; a running run counts by its progress."""
        ended = sum(self.counts.values())
        parts = ended + sum(step / total for step, total in self.running.values() if total)
        passed = time.monotonic() - self.started_at
        return passed / parts * (self.total - parts) if parts else None

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid()
        ended = sum(self.counts.values())
        left = self._left()
        before = f" and {self.done_before} before" if self.done_before else ""
        states = [f"{count} {status}" for status, count in sorted(self.counts.items())]
        states += [f"{len(self.running)} running"] if self.running else []
        states += [f"about {duration(left)} left"] if left is not None else []
        table.add_row(Text(f"{ended}/{self.total} runs{before}: {', '.join(states) or 'starting'}", no_wrap=True))
        for name, (step, total) in list(self.running.items())[:SHOWN]:
            part = f"{100 * step // total:3d} %" if total else "     "
            table.add_row(Text(f"  {part}  {printable(name)}", no_wrap=True, overflow="ellipsis"))
        if len(self.running) > SHOWN:
            table.add_row(Text(f"         and {len(self.running) - SHOWN} more"))
        return table


def tell(text: str) -> None:
    """A line on standard output. A reader who goes away (such as `| head`) must not end the sweep."""
    if sys.stdout is None:  # closed from the beginning
        return
    try:
        say(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """What standard output can encode."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, errors="replace").decode(encoding)


def headline(record: Mapping[str, Any]) -> str:
    """The most telling number of a record, or the first line of its error."""
    if record["error"] is not None:
        lines = record["error"]["message"].splitlines() or [""]
        return f"{record['error']['type']}: {lines[0]}"
    tests = [(key, value) for key, value in record["best"].items() if key.startswith("test/")]
    return f"{tests[0][0]} {tests[0][1]:.4g}" if tests and tests[0][1] is not None else ""


def duration(seconds: float) -> str:
    """'5 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
