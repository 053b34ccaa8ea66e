"""The launcher of stacks: the local launcher, whose workers train many runs as one program where that is possible.

A program has as many threads as the config says, like a run, and as many programs as fit on the cores run at the same
time: what ``threads`` means for a run's identity stays true, and small programs keep their weights in the caches.

Whatever goes wrong with a program is not the fault of all its runs: those that it leaves without a record go one by
one, from their own checkpoints, and the one that is at fault says so itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossbench.preparing import Prepared
from lossbench.sweep.local import Display, Job, LocalLauncher, Worker, _ending
from lossbench.vectorized import grouping


class VectorizedLauncher(LocalLauncher):
    """stack   runs in one program at most; None: what is fastest on the device. The rest as in LocalLauncher"""

    def __init__(self, plan: Path, display: Any, *, stack: int | None = None, **options: Any):
        super().__init__(plan, display, **options)
        self.stack = stack
        self.known: set[str] = set()  # runs of which the display has heard the end

    def _jobs(self, pending: Mapping[int, Prepared]) -> list[Job]:
        stacks, alone, _ = grouping.split(pending, len(self.free), self.stack)
        return [*map(_job, stacks), *super()._jobs(alone)]

    def _take(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"over": key, "run": run}:
                self._heard(self.workers[key].job, run)
            case {"alone": key, "run": run, "text": text}:
                prepared = next(p for p in self.workers[key].job.runs.values() if p.run == run)
                self.display.warn(f"{prepared.name} goes alone: {text}")
            case _:
                super()._take(message)

    def _heard(self, job: Job, run: str) -> None:
        for line, prepared in job.runs.items():
            if prepared.run == run and run not in self.known:
                self.known.add(run)
                self._over(Job(line, prepared), prepared.record)

    def _ended(self, worker: Worker, code: int) -> None:
        job = worker.job
        if not job.more:
            return super()._ended(worker, code)
        left: dict[int, Prepared] = {}
        for line, prepared in job.runs.items():
            if prepared.finished:
                self._heard(job, prepared.run)
            else:
                left[line] = prepared
        if worker.timed_out:
            assert self.time_limit is not None
            limit = f"the time limit of {self.time_limit:g} s was reached by {len(job.runs)} runs in one program"
            for line, prepared in left.items():
                self._write(Job(line, prepared), worker, "timed_out", "TimeLimit", limit)
        elif left and not self.stopping:
            if code:
                self.display.warn(f"a program of {len(job.runs)} runs ended with {_ending(code)}; {len(left)} go alone")
            self.queue.extend(super()._jobs(left))


def _job(stack: Mapping[int, Prepared]) -> Job:
    (line, prepared), *more = stack.items()
    return Job(line, prepared, more=dict(more))


def announcement(pending: Mapping[int, Prepared], slots: int | None, stack: int | None) -> Sequence[str]:
    """What is said before the sweep starts."""
    if not pending:
        return []
    places = LocalLauncher(Path(), Display(), slots=slots)._slots(list(pending.values()))
    stacks, _, reasons = grouping.split(pending, len(places), stack)
    return grouping.announcement(stacks, reasons)
