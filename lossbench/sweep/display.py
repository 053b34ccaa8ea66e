"""What a person sees of a sweep: a live table on a terminal, one line for each finished run in a pipe."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lossbench.display import say
from lossbench.run import Prepared


class SweepDisplay:
    """total: runs to do; metric: the test metric to show, such as 'test/accuracy'; None: the first there is."""

    def __init__(self, total: int, done_before: int):
        self.total, self.done_before = total, done_before
        self.counts: Counter[str] = Counter()
        self.running: dict[str, tuple[int, int]] = {}
        self.started_at = time.monotonic()
        self.live: Any = None
        if sys.stdout.isatty():
            from rich.live import Live

            self.live = Live(self._table(), refresh_per_second=4, transient=True)
            self.live.start()

    def started(self, prepared: Prepared) -> None:
        self.running[prepared.name] = (0, 0)

    def progress(self, prepared: Prepared, step: int, total: int) -> None:
        self.running[prepared.name] = (step, total)

    def ended(self, prepared: Prepared, record: Mapping[str, Any]) -> None:
        self.running.pop(prepared.name, None)
        self.counts[record["status"]] += 1
        number = sum(self.counts.values())
        line = f"[{number}/{self.total}] {record['status']:9} {prepared.name}  {headline(record)}".rstrip()
        if self.live is None:
            say(line)
        else:
            self.live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        if self.live is None:
            print(f"lossbench: {text}", file=sys.stderr, flush=True)
        else:
            self.live.console.print(f"lossbench: {text}", markup=False, highlight=False, soft_wrap=True)

    def refresh(self) -> None:
        if self.live is not None:
            self.live.update(self._table())

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False, box=None)
        ended = sum(self.counts.values())
        eta = ""
        if ended:
            left = (time.monotonic() - self.started_at) / ended * (self.total - ended)
            eta = f"   about {duration(left)} left"
        states = "  ".join(f"{status} {count}" for status, count in sorted(self.counts.items()))
        table.add_row(Text(f"{ended}/{self.total} runs  {states}{eta}"))
        for name, (step, total) in list(self.running.items())[:16]:
            part = f"{100 * step // total:3d} %" if total else "  ..."
            table.add_row(Text(f"  {part}  {name}"))
        return table


def headline(record: Mapping[str, Any]) -> str:
    """The most telling number of a record, or the first line of its error."""
    if record["error"] is not None:
        return f"{record['error']['type']}: {record['error']['message'].splitlines()[0] if record['error']['message'] else ''}"  # fmt: skip
    tests = [(key, value) for key, value in record["best"].items() if key.startswith("test/")]
    return f"{tests[0][0]} {tests[0][1]:.4g}" if tests and tests[0][1] is not None else ""


def duration(seconds: float) -> str:
    """'5 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
