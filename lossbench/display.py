"""What a person sees of a run: a progress bar on a terminal, plain lines in a pipe."""

import os
import sys
import time
from typing import Any

from lossbench.preparing import Prepared

REFRESH_SECONDS = 0.1


def say(text: str) -> None:
    """One line on standard output that no terminal can choke on."""
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, errors="replace").decode(encoding), flush=True)


def silence() -> None:
    """Nobody reads standard output any more: whatever is still written to it goes nowhere, without an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Terminal:
    """Follows one run. ``metric`` is the validation metric to show beside the training loss.

    A reader that has gone away, as in `lossbench train | head`, silences it: the run goes on.
    """

    def __init__(self, metric: str):
        self.metric = metric
        self.live = sys.stdout.isatty()
        self.bar: Any = None
        self.next_refresh = 0.0
        self.last_line = ""
        self.next_line = 0.0

    def _say(self, text: str) -> None:
        try:
            say(text)
        except BrokenPipeError:
            silence()

    def started(self, prepared: Prepared, resumed_at: int | None) -> None:
        self._say(f"{prepared.folder}")
        if resumed_at is not None:
            self._say(f"resumed at step {resumed_at}")
        if self.live:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
            self.bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}", markup=False),
                TimeRemainingColumn(),
                TextColumn("{task.fields[row]}", markup=False),
                console=Console(safe_box=ascii_only, legacy_windows=False),
                transient=True,
            )
            self.task = self.bar.add_task("training", total=None, rate="", row="")
            self.bar.start()
            self.first = (time.perf_counter(), resumed_at or 0)

    def row(self, row: dict[str, Any]) -> None:
        shown = [f"{key} {row[key]:.4g}" for key in ("train/loss", f"validation/{self.metric}") if key in row]
        self.last_line = f"step {row['step']}  epoch {row['epoch']:.3g}  " + "  ".join(shown)
        if self.bar is not None:
            self.bar.update(self.task, row="  ".join(shown))
        elif time.perf_counter() >= self.next_line:  # a piped log gets a line a second at most
            self._say(self.last_line)
            self.last_line = ""
            self.next_line = time.perf_counter() + 1

    def progress(self, step: int, total: int) -> None:
        if self.bar is None:
            return
        now = time.perf_counter()
        if now >= self.next_refresh:
            self.next_refresh = now + REFRESH_SECONDS
            rate = (step - self.first[1]) / max(now - self.first[0], 1e-9)
            self.bar.update(self.task, completed=step, total=total, rate=f"{rate:.0f} steps/s")

    def warn(self, text: str) -> None:
        print(f"lossbench: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        elif self.last_line:
            self._say(self.last_line)
            self.last_line = ""
