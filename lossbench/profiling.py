"""Where does the time go: `lossbench train profile=true` writes a table, profile.txt, into the run's folder, and a
trace of a few steps, trace.json, for Perfetto or chrome://tracing.

The trainer's parts are wrapped from outside, for this run alone, so that nothing is measured and nothing costs when
nobody asks. Nothing is computed otherwise than without: results are the same bit for bit.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from lossbench.trainer import Outcome, Trainer

PARTS = {
    "data": "batches and augmentations",
    "forward": "the model",
    "loss": "the loss, regularizers, reduction",
    "backward": "gradients",
    "optimizer": "clipping and the step",
    "evaluation": "validation and test metrics",
    "logging": "mean losses, rows, checkpoints, progress",
}
OF_STEPS = ("data", "forward", "loss", "backward", "optimizer")
EVERY = 10  # steps one of which is timed on a device, because it has to be waited for at every mark
WARM_UP, TRACED = 10, 20  # steps before the trace, and in it
END = object()
TRACE, TABLE = "trace.json", "profile.txt"


def fit(trainer: Trainer, resume: dict[str, Any] | None) -> Outcome:
    """``trainer.fit``, measured."""
    return Profile(trainer).fit(resume)


class Profile:
    """The time of each part is its own: what it spends in another part counts there."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.every = 1 if trainer.on_cpu else EVERY
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.timed = 0  # steps
        self.first_step: int | None = None
        self.within: list[str] = []
        self.mark = 0.0
        self.trace: Any = None
        self.traced, self.tracing_seconds = 0, 0.0

    def fit(self, resume: dict[str, Any] | None) -> Outcome:
        trainer: Any = self.trainer
        self._wrap(trainer.source, data="training")
        self._wrap(trainer, loss="_evaluate_objective", backward="_backward", evaluation="_evaluate_validation")
        self._wrap(trainer, evaluation="_test", optimizer="_clip", logging="save_checkpoint")
        self._wrap(trainer, logging="report", optimizer="optimizer_step")
        self._wrap(trainer, logging="progress")
        self._wrap(trainer.meter, logging="add")
        self._wrap(trainer.objective, data="draw")
        if trainer.scaler:
            self._wrap(trainer.scaler, optimizer="step")
        parts = {name: self._timed(getattr(trainer.network, name), "forward") for name in ("body", "head", "forward")}
        trainer.network = trainer.network._replace(**parts)
        trainer._train_step = self._counted(trainer._train_step)
        begun = time.perf_counter()
        try:
            return trainer.fit(resume)
        finally:
            self._end_trace()
            self.wall = time.perf_counter() - begun - self.tracing_seconds
            (trainer.folder / TABLE).write_text(self.table())

    # --- what is measured ----------------------------------------------------------------------------------------

    def _wrap(self, owner: Any, **parts: str) -> None:
        for part, name in parts.items():
            wrap = self._iterated if name == "training" else self._timed
            setattr(owner, name, wrap(getattr(owner, name), part))

    def _timed(self, function: Callable, part: str) -> Callable:
        def inside(*arguments: Any, **named: Any) -> Any:
            with self._part(part):
                return function(*arguments, **named)

        return inside

    def _iterated(self, function: Callable, part: str) -> Callable:
        def items(*arguments: Any) -> Iterator[Any]:
            iterator = function(*arguments)
            while True:
                with self._part(part):
                    item = next(iterator, END)
                if item is END:
                    return
                yield item

        return items

    def _counted(self, train_step: Callable) -> Callable:
        def step(*arguments: Any) -> None:
            if self.first_step is None:
                self.first_step = self.trainer.step
            if self.trainer.step - self.first_step == WARM_UP:
                self._begin_trace()
            if self._is_timed("loss"):
                self.timed += 1
            train_step(*arguments)
            if self.trace is not None:
                self.traced += 1
                if self.traced == TRACED:
                    self._end_trace()

        return step

    def _is_timed(self, part: str) -> bool:
        if self.trace is not None:
            return False
        return part not in OF_STEPS or self.trainer.step % self.every == 0

    @contextlib.contextmanager
    def _part(self, part: str) -> Iterator[None]:
        if self.within and self.within[-1] == "evaluation" and part != "logging":
            yield  # its passes through the model are evaluation
            return
        if self.trace is not None:
            from torch.profiler import record_function

            with record_function(part):
                yield
            return
        if not self._is_timed(part):
            yield
            return
        self._pass_time(part)
        self.within.append(part)
        try:
            yield
        finally:
            self._pass_time(part)
            self.within.pop()

    def _pass_time(self, part: str) -> None:
        """The time since the last mark belongs to the part that was running."""
        if part in OF_STEPS and not self.trainer.on_cpu:
            import torch

            torch.accelerator.synchronize(self.trainer.device)
        now = time.perf_counter()
        if self.within:
            self.seconds[self.within[-1]] += now - self.mark
        self.mark = now

    # --- the trace -----------------------------------------------------------------------------------------------

    def _begin_trace(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        self.tracing_since = time.perf_counter()
        activities = [ProfilerActivity.CPU]
        if self.trainer.device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self.trace = profile(activities=activities)
        with _quiet():
            self.trace.__enter__()

    def _end_trace(self) -> None:
        if self.trace is None:
            return
        with _quiet():
            self.trace.__exit__(None, None, None)
        self.trace.export_chrome_trace(str(self.trainer.folder / TRACE))
        self.trace = None
        self.tracing_seconds = time.perf_counter() - self.tracing_since
        self.trainer.started += self.tracing_seconds  # is no training time

    # --- the table -----------------------------------------------------------------------------------------------

    def table(self) -> str:
        """Seconds of each part, its share of the run, and of the parts of a step the time that a step takes."""
        steps = self.trainer.step - (self.first_step or 0) - self.traced
        lines = [f"{'part':<12}{'seconds':>9}{'share':>8}{'a step':>11}"]
        known = 0.0
        for part, what in PARTS.items():
            seconds = self.seconds[part]
            a_step = ""
            if part in OF_STEPS and self.timed:
                mean = seconds / self.timed
                seconds, a_step = mean * steps, f"{mean * 1e6:.0f} us"
            known += seconds
            lines.append(f"{part:<12}{seconds:>9.3f}{seconds / self.wall:>8.1%}{a_step:>11}  {what}")
        other = max(0.0, self.wall - known)
        for part, seconds, what in (
            ("other", other, "the loop itself"),
            ("all", self.wall, f"{steps} steps, {self.timed} of them timed"),
        ):
            lines.append(f"{part:<12}{seconds:>9.3f}{seconds / self.wall:>8.1%}{'':>11}  {what}")
        if self.traced:
            lines.append(f"{TRACE}: {self.traced} more steps as a trace, for Perfetto or chrome://tracing")
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within: the profiler's own lines on standard error go nowhere."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
