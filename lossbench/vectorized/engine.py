"""Trains runs as stacks: the trainer's loop for many runs at once.

What a run of a stack leaves behind is what it would leave alone: the same files, the same fields, equal numbers within
the rounding of another order of operations. Three fields are about the program, which all runs of the stack share:
``time`` and ``energy_joules`` are the run's share (at every moment, the program's time divided by the number of runs
that are still training, so that the shares add up to the program's), ``memory`` is the whole program's peak, and
``shared_device`` is true.
"""

import contextlib
import datetime
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml
from torch import Tensor, nn

from lossbench import checkpoint, run
from lossbench.building import build
from lossbench.errors import UsageError
from lossbench.objective import Network
from lossbench.preparing import Prepared, resolve_device
from lossbench.results import record as records
from lossbench.run import YAML, configure_torch, locked, write_results
from lossbench.trainer import CHECK_EVERY, Interrupted, Outcome, improves
from lossbench.vectorized.stack import Member, Stack, enter

MEMORY_SHARE = 0.8  # of what is free
WRITERS = 8  # records at once: each waits for the disk


class Watcher(Protocol):
    """Whoever follows the training of several runs."""

    def progress(self, step: int, total: int) -> None: ...

    def ended(self, prepared: Prepared) -> None: ...

    def alone(self, prepared: Prepared, reason: str) -> None: ...

    def warn(self, text: str) -> None: ...


class Silent:
    """Nobody watches."""

    def progress(self, step: int, total: int) -> None: ...

    def ended(self, prepared: Prepared) -> None: ...

    def alone(self, prepared: Prepared, reason: str) -> None: ...

    def warn(self, text: str) -> None: ...


def train(
    runs: Sequence[Prepared],
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
    share: float = 1.0,
) -> dict[str, str]:
    """Train runs that share model, data and steps, and write their records; finished ones are passed over.

    share   of the free memory that these runs may have
    Returns {run: reason} of those that cannot be stacked after all; they have no record, and are for the ordinary
    engine, which says what is wrong with them, if something is. Raises Interrupted when ``stop`` came true.
    """
    watcher = watcher or Silent()
    config = runs[0].config
    device = resolve_device(config["device"])
    configure_torch(config, device)
    reasons: dict[str, str] = {}

    def alone(prepared: Prepared, reason: str) -> None:
        reasons[prepared.run] = reason
        watcher.alone(prepared, reason)

    with contextlib.ExitStack() as locks:
        held = []
        for prepared in runs:
            try:
                locks.enter_context(locked(prepared.folder))
            except UsageError as error:
                alone(prepared, str(error))
                continue
            other = (prepared.record or {}).get("run", prepared.run)
            if other != prepared.run:
                alone(prepared, f"its folder belongs to run {other}")
            elif not prepared.finished:
                held.append(prepared)
        stacks = deque(_by_step(held, watcher, alone))
        while stacks:
            step, together = stacks.popleft()
            try:
                Program(step, together, device, watcher, stop, alone, share).run()
            except Interrupted:
                raise
            except TooLarge as error:
                stacks.extendleft((step, part) for part in error.parts)
            except Exception as error:
                left = [prepared for prepared in together if not prepared.finished and prepared.run not in reasons]
                if isinstance(error, torch.OutOfMemoryError) and len(left) > 1:
                    watcher.warn(f"{len(left)} runs together need more memory than there is; now in two halves")
                    half = len(left) // 2
                    for part in (left[:half], left[half:]):
                        stacks.extend(_by_step(part, watcher, alone))
                    continue
                for prepared in left:
                    alone(prepared, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return reasons


class TooLarge(Exception):
    """The runs do not fit into memory together; ``parts`` do."""

    def __init__(self, parts: list[list[Prepared]]):
        self.parts = parts


def _by_step(
    runs: Sequence[Prepared], watcher: Watcher, alone: Callable[[Prepared, str], None]
) -> list[tuple[int, list[Prepared]]]:
    """(step, the runs that go on from there): where possible from one step that all have a sound checkpoint of."""
    found = {}
    for prepared in runs:
        checkpoint.remove_torn(prepared.folder)
        try:
            found[prepared.run] = _sound_steps(prepared, watcher)
        except UsageError as error:
            alone(prepared, str(error))
    common = set.intersection(*found.values()) if found else set()
    groups: dict[int, list[Prepared]] = {}
    for prepared in runs:
        if prepared.run in found:
            groups.setdefault(max(common or found[prepared.run], default=0), []).append(prepared)
    return sorted(groups.items())


def _sound_steps(prepared: Prepared, watcher: Watcher) -> set[int]:
    """The steps that a run has checkpoints of; damaged ones are reported and removed."""
    steps = set()
    for path in checkpoint.checkpoints(prepared.folder):
        try:
            payload = checkpoint.read(path)
        except (ValueError, OSError) as error:
            watcher.warn(f"damaged checkpoint: {error}; using another one, or starting anew")
            checkpoint.remove(path)
            continue
        if payload["run"] != prepared.run:
            raise UsageError(f"{path} belongs to run {payload['run']}, not to {prepared.run}")
        steps.add(payload["step"])
    return steps


class Program:
    """One stack of runs from its first step to their records."""

    def __init__(
        self,
        step: int,
        runs: Sequence[Prepared],
        device: torch.device,
        watcher: Watcher,
        stop: Callable[[], bool],
        alone: Callable[[Prepared, str], None],
        share: float,
    ):
        self.share = share
        self.step, self.runs, self.device = step, runs, device
        self.watcher, self.stop, self.alone = watcher, stop, alone
        self.started = datetime.datetime.now(datetime.UTC)
        self.energy = records.Energy(device)
        self.clock = self.wall_mark = time.perf_counter()

    def run(self) -> None:
        members, model = self._build()
        if not members:
            return
        self.parameters = sum(p.numel() for p in model.parameters())
        settings = members[0].settings
        assert settings.steps is not None
        self.settings, self.steps = settings, settings.steps
        self.stack = Stack(members, model, self.device)
        self._share_wall()
        self._loop()
        self._finish()

    # --- before step 0 ---------------------------------------------------------------------------------------------

    def _build(self) -> tuple[list[Member], nn.Module]:
        members: list[Member] = []
        template: nn.Module | None = None
        for prepared in self.runs:
            try:
                run.train_prerequisites(prepared, run.Silent(), self.stop)
                parts = build(prepared.config, self.device)
            except Exception as error:
                self.alone(prepared, f"{type(error).__name__}: {error}")
                continue
            if not parts["source"].resident:
                self.alone(prepared, "its data are read batch by batch")
                continue
            member, model = enter(prepared, parts)
            if template is None:
                template = model
                self._fits(member, model)
            self._resume(member)
            members.append(member)
        assert template is not None or not members
        return members, template  # type: ignore[return-value]

    def _fits(self, member: Member, model: nn.Module) -> None:
        """Raises TooLarge where the runs do not fit into memory together."""
        free = _free_memory(self.device)
        if free is None:
            return
        most = max(1, int(MEMORY_SHARE * self.share * free / bytes_per_run(member, model)))
        if most < len(self.runs):
            number = math.ceil(len(self.runs) / most)
            size = math.ceil(len(self.runs) / number)
            raise TooLarge([list(self.runs[i : i + size]) for i in range(0, len(self.runs), size)])

    def _resume(self, member: Member) -> None:
        prepared, folder = member.prepared, member.prepared.folder
        if self.step:
            member.payload = checkpoint.read(folder / f"checkpoint-{self.step:09d}.pt", self.device)
        member.resumed = member.payload["resumed"] + 1
        records.Metrics(folder, keep_until_step=self.step or None)
        text = yaml.dump(prepared.config, Dumper=YAML, sort_keys=False)
        checkpoint.write_atomically(folder / "config.yaml", text.encode(), durable=False)
        (folder / "record.json").unlink(missing_ok=True)  # of an earlier attempt that failed

    # --- the loop --------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        settings = self.settings
        saved = time.perf_counter()
        self.train_mark = time.perf_counter()
        on_cpu = self.device.type == "cpu"
        self.first_step = self.step
        self.bad = torch.zeros(len(self.stack.members), dtype=torch.bool, device=self.device)
        self.good_steps = torch.zeros(len(self.stack.members), dtype=torch.long, device=self.device)
        while self.step < self.steps and self.stack.members:
            losses = self.stack.train_step(self.step, self.steps)
            self._note(losses)
            evaluating = (self.step + 1) % settings.evaluate_every == 0 or self.step + 1 == self.steps
            if on_cpu or evaluating or (self.step + 1) % CHECK_EVERY == 0:
                self._drop_diverged(losses)
            self.step += 1
            if not self.stack.members:
                return
            if evaluating:
                self._evaluate()
            stopping = self.stop()
            if stopping or settings.checkpoint_seconds is not None:
                now = time.perf_counter()
                due = stopping or now - saved >= (settings.checkpoint_seconds or 0)
                if due and self.step != self.steps:
                    self._save()
                    saved = time.perf_counter()
                    if stopping:
                        raise Interrupted(f"stopped at step {self.step}; the same command goes on from there")
            self.watcher.progress(self.step, self.steps)
        self._share_training()

    def _note(self, losses: Tensor) -> None:
        """Raise the flags of the runs whose loss is not finite; on a device nobody waits for them here."""
        self.bad |= ~losses.isfinite()
        self.good_steps += ~self.bad

    def _drop_diverged(self, losses: Tensor) -> None:
        """Record the runs whose flag is up, and let the others go on without them."""
        if not bool(self.bad.any()):
            return
        self._share_training()
        self._share_wall()
        flags, steps, values = self.bad.tolist(), self.good_steps.tolist(), losses.tolist()
        for row, member in enumerate(self.stack.members):
            if flags[row]:
                done = self.first_step + steps[row]
                message = f"the training loss was not finite at step {done}"
                if self.device.type == "cpu":  # looked at in every step
                    message = f"the training loss is {values[row]}"
                outcome = Outcome("diverged", done, member.best, member.last_row, message, member.seconds)
                self._record(member, outcome, {})
        keep = [row for row, flag in enumerate(flags) if not flag]
        self._keep_rows(keep)

    def _keep_rows(self, keep: Sequence[int]) -> None:
        stack = self.stack
        members = [stack.members[row] for row in keep]
        if members:
            stack.leave(self.step + 1)
            self.stack = Stack(members, stack.model, self.device)
            # A stack sorts its members; flags and counters of the rest are all alike.
        else:
            stack.members = []
        index = torch.tensor(keep, dtype=torch.long, device=self.device)
        self.bad, self.good_steps = self.bad[index], self.good_steps[index]

    def _evaluate(self) -> None:
        self._share_training()
        stack = self.stack
        rows = stack.measure("validation", stack.weights())
        trained = [means for block in stack.blocks for means in block.means()]
        rates = {row: s.learning_rate for s in stack.segments for row in range(s.rows.start, s.rows.stop)}
        improved = []
        for i, member in enumerate(stack.members):
            row: dict[str, Any] = {
                "step": self.step,
                "epoch": self.step / member.source.steps_per_epoch,
                "examples": self.step * member.source.batch_size,
                "seconds": round(member.seconds, 4),
                "learning_rate": rates[i],
                **trained[i],
                **rows[i],
            }
            if improves(row, member.best, member.settings.selection):
                member.best = row
                improved.append(i)
            member.last_row = row
            records.append(member.prepared.folder, row)
        stack.keep_best(improved)
        self.train_mark = time.perf_counter()  # evaluation is not training time

    def _save(self) -> None:
        self._share_training()
        for row, member in enumerate(self.stack.members):
            checkpoint.save(member.prepared.folder, self.step, self.stack.payload(row, self.step))
        self.train_mark = time.perf_counter()

    # --- the end ---------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        stack = self.stack
        if not stack.members:
            return
        finite = stack.finite_weights()
        tests = stack.final_metrics(stack.best_weights)
        self._share_wall()

        def record(row: int) -> None:
            member = stack.members[row]
            outcome = Outcome("completed", self.step, member.best, member.last_row, None, member.seconds)
            if finite[row]:
                outcome.best = {**member.best, **tests[row]}
            else:
                outcome.status, outcome.message = "diverged", "the weights are not finite after the last step"
            self._record(member, outcome, stack.best_of(row) if finite[row] else {})

        with ThreadPoolExecutor(WRITERS) as writers:
            for written in [writers.submit(record, row) for row in range(len(stack.members))]:
                written.result()

    def _record(self, member: Member, outcome: Outcome, weights: Mapping[str, Tensor]) -> None:
        error = None
        if outcome.message is not None:
            error = {"type": "Diverged", "message": outcome.message, "traceback": ""}
        joules = self.energy.joules()
        write_results(
            member.prepared,
            outcome,
            error=error,
            weights=weights,
            source=member.source,
            shapes=member.shapes,
            parameters=self.parameters,
            device=self.device,
            started=self.started,
            wall_seconds=member.wall,
            energy_joules=None if joules is None else joules * member.wall / max(self.wall_mark - self.clock, 1e-9),
            shared_device=True,
            resumed=member.resumed,
        )
        self.watcher.ended(member.prepared)

    # --- shares ----------------------------------------------------------------------------------------------------

    def _share_training(self) -> None:
        now = time.perf_counter()
        for member in self.stack.members:
            member.seconds += (now - self.train_mark) / len(self.stack.members)
        self.train_mark = now

    def _share_wall(self) -> None:
        now = time.perf_counter()
        for member in self.stack.members:
            member.wall += (now - self.wall_mark) / len(self.stack.members)
        self.wall_mark = now


def bytes_per_run(member: Member, model: nn.Module) -> int:
    """About what one run of a stack takes: its weights with gradients, two moments, the best ones and a copy in
    passing; and twice what one forward pass saves for the backward pass."""
    saved = 0

    def note(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.nbytes
        return tensor

    batch = member.source.examples(torch.arange(member.source.batch_size, device=member.source.device))
    # An estimate: where the task passes something else than x through the model, such as bags, it goes without.
    with contextlib.suppress(RuntimeError), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        Network.of(model).forward(batch["x"])
    tensors = [*model.parameters(), *model.buffers()]
    memory = sum(t.nbytes for part in member.payload["state"].values() for t in part.values())
    return 6 * sum(t.nbytes for t in tensors) + 2 * (saved + batch["x"].nbytes + memory)


def _free_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux: nobody says
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
