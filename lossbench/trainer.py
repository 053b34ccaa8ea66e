"""THE trainer: one loop for every objective. It knows steps, precision, budgets and files, and no loss, task, data set
or optimizer by name.

What differs between optimizers is read from their signatures: ``step(closure)`` with a required closure gets one that
recomputes the gradients, ``step(loss)`` the loss of the batch; every other optimizer gets ``step()``.
"""

import contextlib
import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from lossbench import checkpoint
from lossbench.aggregations.aggregation import Aggregation
from lossbench.errors import UsageError, nearest
from lossbench.metrics.collect import Collected, to_floats
from lossbench.objective import Evaluation, Network, Objective
from lossbench.optimizers.eager import plain_step
from lossbench.source import Source

CHECK_EVERY = 50  # steps between looks at the device's divergence flag where a look is a synchronisation
GUESSED_STEPS = 1000  # of a budget in seconds, before the rate is known


@dataclass(frozen=True)
class Settings:
    """How to train, resolved: exactly one of ``steps`` and ``seconds`` is given."""

    steps: int | None
    seconds: float | None
    evaluate_every: int
    accumulation: int = 1
    clip_norm: float | None = None
    ema: float | None = None
    autocast: torch.dtype | None = None
    loss_scaling: bool = False
    checkpoint_seconds: float | None = 30.0
    keep: frozenset[int] = frozenset()  # steps whose checkpoints stay
    selection: tuple[str, str] = ("accuracy", "higher")
    compile: bool | str = False


@dataclass
class Outcome:
    """What a run came to. ``best``: the evaluation chosen on validation, with the test metrics; ``final``: the last."""

    status: str
    steps: int
    best: dict[str, float] = field(default_factory=dict)
    final: dict[str, float] = field(default_factory=dict)
    message: str | None = None
    train_seconds: float = 0.0


class Diverged(Exception):
    """The training loss is not finite. Raised before the optimizer could use it."""


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint is written."""


def improves(row: Mapping[str, float], best: Mapping[str, float], selection: tuple[str, str]) -> bool:
    """Whether an evaluation is better than the best one so far, by the selection's metric on the validation split.

    Raises UsageError where that is not measured.
    """
    metric, direction = selection
    key = f"validation/{metric}"
    if key not in row:
        known = [k.removeprefix("validation/") for k in row if k.startswith("validation/")]
        raise UsageError(
            f"selection.metric={metric} is not measured on the validation split"
            f"{nearest(metric, known) or '.'} There are: {', '.join(known)}."
        )
    if not best or math.isnan(best[key]):
        return True
    return row[key] > best[key] if direction == "higher" else row[key] < best[key]


def final_metrics(
    objective: Objective,
    source: Source,
    collect: Callable[[str], dict[str, Tensor]],
    for_each: Callable[[Callable], Callable] = lambda metrics: metrics,
) -> dict[str, Tensor]:
    """What is measured once, at the end: 'test/<metric>', and 'test/<split>/<metric>' of every further split that has
    the labels for it. A task's ``test_metrics`` adds to the former what takes several splits: these, validation, and
    those that its ``test_splits`` names.

    collect    gives the tensors of a split
    for_each   makes a function of tensors one of the tensors of many runs
    """
    task = objective.task
    splits = {name: collect(name) for name in source.at_the_end}
    found: dict[str, Tensor] = {}
    for name, tensors in splits.items():
        if objective.measurable(source.names(name)):
            prefix = "test" if name == "test" else f"test/{name}"
            found |= {f"{prefix}/{metric}": value for metric, value in for_each(task.metrics)(**tensors).items()}
    if hasattr(task, "test_metrics"):
        splits |= {name: collect(name) for name in ("validation", *getattr(task, "test_splits", ()))}
        found |= {f"test/{metric}": value for metric, value in for_each(task.test_metrics)(splits).items()}
    return found


class Trainer:
    """Trains a model; ``fit`` may be called once.

    report      called with every row of metrics; the row is on disk before
    progress    called with (step, total steps) after every step; must return at once
    stop        asked after every step; True ends the run with a checkpoint and Interrupted
    """

    def __init__(
        self,
        *,
        run: str,
        folder: Path,
        model: nn.Module,
        objective: Objective,
        source: Source,
        optimizer: torch.optim.Optimizer,
        schedule: Callable[[int, int], float],
        settings: Settings,
        params: dict[str, dict[str, Tensor]],
        state: dict[str, dict[str, Tensor]],
        generators: Mapping[str, Generator],
        report: Callable[[dict[str, Any]], None],
        progress: Callable[[int, int], None],
        stop: Callable[[], bool],
        aggregation: Aggregation | None = None,
    ):
        self.run, self.folder, self.settings = run, folder, settings
        self.model, self.objective, self.source = model, objective, source
        self.optimizer, self.schedule = optimizer, schedule
        self.optimizer_step = plain_step(optimizer)
        self.params, self.state, self.generators = params, state, generators
        self.report, self.progress, self.stop = report, progress, stop
        self.device = source.device
        self.on_cpu = self.device.type == "cpu"
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.learning_rates = [group["lr"] for group in optimizer.param_groups]
        takes = inspect.signature(type(optimizer).step).parameters.items()
        required = {name for name, parameter in takes if parameter.default is inspect.Parameter.empty}
        self.needs_closure, self.needs_loss = "closure" in required, "loss" in required
        self.scaler = torch.amp.GradScaler(self.device.type) if settings.loss_scaling else None
        if self.scaler and self.needs_closure:
            raise UsageError(
                f"precision: loss scaling does not go with {type(optimizer).__name__}, whose step recomputes the "
                "gradients. Use precision=bf16 or precision=fp32."
            )
        self.aggregation = aggregation
        if aggregation and self.needs_closure:
            raise UsageError(
                f"aggregation={aggregation.name} does not go with {type(optimizer).__name__}, whose step asks for a "
                "loss and its gradient at several points. Choose another optimizer, or aggregation=null."
            )
        self.network = self._network()
        self.evaluate: Callable[..., Evaluation] = objective
        self.begin_step: Callable[[], None] | None = None
        self.kept: Callable = lambda state: state
        if settings.compile:
            self._compile()
        self.average = [t.clone() for t in self._weights()] if settings.ema is not None else None
        self.meter = Meter(self.device, supports_skip=self._supports_skip())
        self.step = 0
        self.kept_batch: dict[str, Any] | None = None  # that further steps are to be made on
        self.seconds = 0.0  # spent in training, over all resumptions
        self.resumed = 0
        self.best: dict[str, float] = {}
        self.best_weights: dict[str, Tensor] = {}
        self.last_row: dict[str, float] = {}

    # --- one step ------------------------------------------------------------------------------------------------

    def _network(self) -> Network:
        return Network.of(self.model).under_autocast(self.device.type, self.settings.autocast)

    def _compile(self) -> None:
        from lossbench import compiling

        self.evaluate = compiling.compiled(self.objective.__call__, self.settings.compile, self.device)
        if compiling.uses_graphs(self.settings.compile, self.device):
            self.begin_step, self.kept = compiling.begin_step, compiling.kept

    def _weights(self) -> list[Tensor]:
        return [p.detach() for p in self.model.parameters()]

    def _supports_skip(self) -> bool:
        """Whether the optimizer can be told on the device to leave the weights alone (torch's fused ones can)."""
        return bool(getattr(self.optimizer, "_step_supports_amp_scaling", False)) and not self.needs_closure

    def _progress(self, total_steps: int) -> Tensor | float:
        return torch.tensor(self.step / total_steps, device=self.device) if self.objective.needs_progress else 0.0

    def _evaluate_objective(self, batch: dict[str, Tensor], total_steps: int) -> Evaluation:
        return self.evaluate(self.network, batch, self.params, self.state, self._progress(total_steps))

    def _gradients(self, batch: dict[str, Tensor], total_steps: int) -> Tensor:
        """Leave the gradients of the loss on the parameters; returns the loss."""
        for parameter in self.parameters:
            parameter.grad = None
        if self.aggregation is not None:
            evaluation, loss = self._aggregate(batch, total_steps)
        elif self.settings.accumulation == 1:
            evaluation = self._evaluate_objective(batch, total_steps)
            loss = evaluation.loss
            self._backward(loss)
        else:
            evaluation, loss = self._accumulate(batch, total_steps)
        self.new_state = self.kept(evaluation.state)
        self.meter.add(evaluation, loss)
        return loss

    def _aggregate(self, batch: dict[str, Tensor], total_steps: int) -> tuple[Evaluation, Tensor]:
        """Leave on the parameters what the aggregation makes of the gradients of the single objectives."""
        assert self.aggregation is not None
        name, progress = self.aggregation.name, self._progress(total_steps)
        evaluation, objectives = self.objective.several(
            self.network, batch, self.params, self.state, progress, of=self.aggregation.of
        )
        given = {"generator": self.generators.get(name), "ids": batch.get("ids"), "state": self.state.get(name)}
        if memory := self.aggregation.leave_gradients(objectives, self.parameters, given):
            self.state = {**self.state, name: memory}
        return evaluation, evaluation.loss.detach()

    def _backward(self, loss: Tensor) -> None:
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def _accumulate(self, batch: dict[str, Tensor], total_steps: int) -> tuple[Evaluation, Tensor]:
        """Micro-batches whose summed gradient equals the big batch's: totals add, and one division at the end."""
        whole = self._sum_parts(batch, total_steps)
        self._divide_gradients(len(batch["x"]), whole.count)
        return whole, whole.loss

    def _sum_parts(self, batch: dict[str, Tensor], total_steps: int) -> Evaluation:
        """The sums over the micro-batches; their gradients are those of the total divided by the size of the batch."""
        size = len(batch["x"])
        totals: list[Tensor] = []
        count: Tensor | float = 0.0
        terms: dict[str, Tensor] = {}
        evaluation = None
        for part in _split(batch, self.settings.accumulation):
            evaluation = self._evaluate_objective(part, total_steps)
            # Divided by the batch size so that a scaled half-precision gradient stays in its usual range.
            share = evaluation.total / size
            self._backward(share)
            totals.append(evaluation.total.detach())
            count = count + evaluation.count
            terms = {name: value + terms.get(name, 0.0) for name, value in evaluation.terms.items()}
            if self.objective.has_state:
                self.state = {**self.state, **self.kept(evaluation.state)}
        assert evaluation is not None
        return Evaluation(torch.stack(totals).sum(), count, terms, evaluation.state)

    def _divide_gradients(self, size: int, count: Tensor | float) -> None:
        """From gradients of total / size to those of total / count."""
        divisor = torch.where(count == 0, 1.0, count) if isinstance(count, Tensor) else count or 1.0
        torch._foreach_mul_([p.grad for p in self.parameters if p.grad is not None], size / divisor)

    def _clip(self) -> None:
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm)

    def _train_step(self, batch: dict[str, Tensor], total_steps: int) -> None:
        # Once a step and for the whole batch: micro-batches and an optimizer's trial points see the same numbers.
        batch = self.objective.draw(batch, self.generators)
        if self.begin_step is not None:
            self.begin_step()
        multiplier = self.schedule(self.step, total_steps)
        for group, rate in zip(self.optimizer.param_groups, self.learning_rates, strict=True):
            group["lr"] = rate * multiplier
        if self.needs_closure:
            self._closure_step(batch, total_steps)
        else:
            loss = self._gradients(batch, total_steps)
            given = (loss.detach(),) if self.needs_loss else ()
            self.meter.guard(self.optimizer)
            if self.scaler is None:
                self._clip()
                self.optimizer_step(*given)
            else:
                if self.settings.clip_norm is not None:
                    self.scaler.unscale_(self.optimizer)
                    self._clip()
                self.scaler.step(self.optimizer, *given)
                self.scaler.update()
        if self.objective.has_state:
            self.state = {**self.state, **self.new_state}
        if self.average is not None:
            torch._foreach_lerp_(self.average, self._weights(), 1 - (self.settings.ema or 0.0))

    def _batches(self) -> Iterator[dict[str, Any]]:
        """The batch of each step from ``step`` on. A batch of the data may serve several; what the task collects
        belongs to it, and is made with the weights that it finds."""
        source = self.source
        each = source.parts * source.passes
        number, done = divmod(self.step, each)
        for batch in source.training(number):
            if self.kept_batch is None:
                self.kept_batch = self._collect(batch)
            for update in range(done, each):
                rows = source.rows(number, update)
                yield dict(self.kept_batch) if rows is None else _rows(self.kept_batch, rows)
            self.kept_batch, number, done = None, number + 1, 0

    def _collect(self, batch: dict[str, Any]) -> dict[str, Any]:
        if not self.objective.collected:
            return batch
        self.model.eval()
        collected = self.objective.collect(self.network, batch, self.generators)
        self.model.train()
        return collected

    def _closure_step(self, batch: dict[str, Tensor], total_steps: int) -> None:
        calls = 0
        before = [p.detach().clone() for p in self.parameters]

        def closure() -> Tensor:
            nonlocal calls
            calls += 1
            with torch.enable_grad():
                loss = self._gradients(dict(batch), total_steps)
            self.meter.guard(self.optimizer)
            if calls > 1:
                self.meter.forget_last()  # train/loss is the loss at the weights of the step, not at trial points
            self._clip()
            return loss

        try:
            self.optimizer_step(closure)
        except Diverged:  # at a trial point, perhaps: the weights go back to those of the last good step
            torch._foreach_copy_([p.detach() for p in self.parameters], before)
            raise

    # --- the run -------------------------------------------------------------------------------------------------

    def fit(self, resume: dict[str, Any] | None = None) -> Outcome:
        if resume is not None:
            self._restore(resume)
        else:
            self._check_selection()
        status, message = "completed", None
        self.started = time.perf_counter() - self.seconds
        try:
            self._loop()
            self.meter.check(self.step)
            self._check_weights()
        except Exception as error:
            self.seconds = time.perf_counter() - self.started
            if not isinstance(error, Diverged):
                raise
            status, message = "diverged", str(error)
        outcome = Outcome(status, self.step, self.best, self.last_row, message, self.seconds)
        if status == "completed":
            outcome.best = {**self.best, **self._test()}
        return outcome

    def _check_selection(self) -> None:
        """A selection metric that is not measured is refused before step 0; that of the task is known to be."""
        if self.settings.selection[0] != self.objective.task.selection[0]:
            improves(self.measure("validation"), {}, self.settings.selection)

    def _check_weights(self) -> None:
        """A last step with a finite loss can still have had a gradient that was not."""
        norms = torch._foreach_norm([p.detach() for p in self.parameters])
        if not bool(torch.isfinite(torch.stack(norms)).all()):
            raise Diverged("the weights are not finite after the last step")

    def _total_steps(self, elapsed: float) -> int:
        if self.settings.steps is not None:
            return self.settings.steps
        assert self.settings.seconds is not None
        if self.step == 0 or elapsed <= 0:
            return GUESSED_STEPS
        return max(self.step + 1, round(self.step * self.settings.seconds / elapsed))

    def _elapsed(self) -> float:
        """Seconds spent in training."""
        return time.perf_counter() - self.started

    def _is_due(self, saved: float) -> bool:
        """Whether it is time for a checkpoint; the last one was saved then."""
        return time.perf_counter() - saved >= (self.settings.checkpoint_seconds or 0)

    def _loop(self) -> None:
        settings = self.settings
        saved = time.perf_counter()
        self.model.train()
        batches = self._batches()
        while True:
            elapsed = self._elapsed()
            if self.step >= settings.steps if settings.steps is not None else elapsed >= (settings.seconds or 0):
                break
            total = self._total_steps(elapsed)
            batch = next(batches)
            self._train_step(batch, total)
            self.step += 1
            if not self.on_cpu and self.step % CHECK_EVERY == 0:
                self.meter.check(self.step)
            if self.step % settings.evaluate_every == 0 or self.step == settings.steps:
                now = time.perf_counter()
                self.seconds = now - self.started
                self._evaluate_validation(self.objective.diagnose(self.network, batch))
                self.started += time.perf_counter() - now  # evaluation is not training time
            if self.step in settings.keep:
                self.keep_checkpoint()
            stopping = self.stop()
            if stopping or settings.checkpoint_seconds is not None:
                now = time.perf_counter()
                due = stopping or self._is_due(saved)
                if due and self.step != settings.steps:
                    self.seconds = now - self.started
                    self.save_checkpoint()
                    saved = time.perf_counter()
                    self.started += saved - now
                    if stopping:
                        raise Interrupted(f"stopped at step {self.step}; the same command goes on from there")
            self.progress(self.step, total)
        self.seconds = time.perf_counter() - self.started
        if self.last_row.get("step") != self.step:  # a budget in seconds ends anywhere
            self._evaluate_validation()

    # --- evaluation ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within: the model has its averaged weights."""
        if self.average is None:
            yield
            return
        parameters = self._weights()
        own = [p.clone() for p in parameters]
        torch._foreach_copy_(parameters, self.average)
        try:
            yield
        finally:
            torch._foreach_copy_(parameters, own)

    def measure(self, split: str) -> dict[str, float]:
        """The task's metrics of a split, '<split>/<metric>'."""
        values = self.objective.task.metrics(**self.collect(split))
        return {f"{split}/{name}": value for name, value in to_floats(values).items()}

    def collect(self, split: str) -> dict[str, Tensor]:
        """The tensors that the task's metrics name, of a whole split, as far as it leads to them."""
        collected = Collected(len(self.source.splits[split]))
        given = self.source.names(split)
        observe = self.objective.observer(self.objective.observable(given), given)
        self.model.eval()
        with torch.no_grad():
            for batch in self.source.evaluation(split):
                collected.append(observe(self.network, batch))
        self.model.train()
        return collected.finish()

    def _evaluate_validation(self, diagnostics: Mapping[str, Tensor] | None = None) -> None:
        """diagnostics   of the batch of the last step, where the loss has any"""
        self.meter.check(self.step)
        row: dict[str, Any] = {
            "step": self.step,
            "epoch": self.step / self.source.steps_per_epoch,
            "examples": self.step * self.source.batch_size,
            "seconds": round(self.seconds, 4),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **self.meter.means(),
            **{f"train/{name}": value for name, value in to_floats(diagnostics or {}).items()},
        }
        with self._averaged():
            row |= self.measure("validation")
            if improves(row, self.best, self.settings.selection):
                self.best = row
                self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.last_row = row
        self.report(row)

    def weights(self) -> dict[str, Tensor]:
        """Of the model, as they are kept for later."""
        return self.model.state_dict()

    def _test(self) -> dict[str, float]:
        """The test split is read here, once, with the weights chosen on validation; they stay in the model."""
        self.model.load_state_dict(self.best_weights)
        return to_floats(final_metrics(self.objective, self.source, self.collect))

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def save_checkpoint(self) -> None:
        self.meter.check(self.step)
        self.write_payload(checkpoint.save)

    def write_payload(self, write: Callable[[Path, int, dict[str, Any]], Any]) -> None:
        write(self.folder, self.step, self.payload())

    def keep_checkpoint(self) -> None:
        self.meter.check(self.step)
        self.seconds = self._elapsed()
        self.write_payload(checkpoint.keep)

    def payload(self) -> dict[str, Any]:
        """Everything that going on from here takes."""
        return {
            "run": self.run,
            "step": self.step,
            "seconds": self.seconds,
            "resumed": self.resumed,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else {},
            "params": self.params,
            "state": self.state,
            "average": self.average or [],
            "best": self.best,
            "best_weights": self.best_weights,
            "last_row": self.last_row,
            "meter": self.meter.state_dict(),
            "source": self.source.state_dict(),
            "batch": self.kept_batch if self.step % (self.source.parts * self.source.passes) else None,
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "rng": torch.get_rng_state(),
            "device_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def _restore(self, payload: dict[str, Any]) -> None:
        self.step, self.seconds = payload["step"], payload["seconds"]
        self.resumed = payload["resumed"] + 1
        self.model.load_state_dict(payload["model"])
        with torch.no_grad():
            for name, tensors in self.params.items():
                for key, tensor in tensors.items():
                    tensor.copy_(payload["params"][name][key])
        self.optimizer.load_state_dict(payload["optimizer"])
        if self.scaler and payload["scaler"]:
            self.scaler.load_state_dict(payload["scaler"])
        self.state = payload["state"]
        if self.average is not None:
            torch._foreach_copy_(self.average, payload["average"])
        self.best, self.best_weights = payload["best"], payload["best_weights"]
        self.last_row = payload["last_row"]
        self.meter.load_state_dict(payload["meter"], self.step)
        self.source.load_state_dict(payload["source"])
        self.kept_batch = payload.get("batch")
        for name, generator in self.generators.items():
            generator.set_state(payload["generators"][name].cpu())
        torch.set_rng_state(payload["rng"].cpu())
        if payload["device_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(payload["device_rng"].cpu(), self.device)


class Meter:
    """Mean training loss and terms since the last evaluation, and the guard against non-finite losses.

    On the CPU a look at a number costs nothing, so the loss is checked at once. On a device a look is a
    synchronisation: sums stay there, a sticky flag is raised on the device, optimizers that can skip a step by such a
    flag do so, and the flag is looked at now and then. Either way the weights never take a non-finite loss.
    """

    def __init__(self, device: torch.device, supports_skip: bool):
        self.looks_free = device.type == "cpu"
        self.supports_skip = supports_skip
        self.bad = None if self.looks_free else torch.zeros((), device=device)
        self.good_steps = None if self.looks_free else torch.zeros((), device=device)
        self.sums: dict[str, Any] = {}
        self.count: Any = 0.0
        self.previous: tuple[dict[str, Any], Any] = ({}, 0.0)

    def add(self, evaluation: Evaluation, loss: Tensor) -> None:
        self.previous = (self.sums, self.count)
        self.last_loss = loss.detach()
        many = len(evaluation.terms) > 1
        if self.looks_free:
            self.last_value = self.last_loss.item()
            count: Any = float(evaluation.count) or 1.0
            new: dict[str, Any] = {"loss": self.last_value * count}
            if many:
                new |= {name: value.item() for name, value in evaluation.terms.items()}
        else:
            count = evaluation.count if isinstance(evaluation.count, Tensor) else evaluation.count or 1.0
            new = {"loss": evaluation.total.detach(), **(evaluation.terms if many else {})}
        self.sums = {name: value + self.sums.get(name, 0.0) for name, value in new.items()}
        self.count = self.count + count

    def forget_last(self) -> None:
        self.sums, self.count = self.previous

    def guard(self, optimizer: torch.optim.Optimizer) -> None:
        """Before the optimizer's step: raise, or make it skip on the device, where the loss is not finite."""
        if self.looks_free:
            if not math.isfinite(self.last_value):
                raise Diverged(f"the training loss is {self.last_value}")
            return
        assert self.bad is not None and self.good_steps is not None
        self.bad = torch.maximum(self.bad, (~torch.isfinite(self.last_loss)).to(self.bad.dtype))
        self.good_steps = self.good_steps + (1 - self.bad)
        if self.supports_skip:
            optimizer.found_inf = self.bad  # type: ignore[attr-defined]
            optimizer.grad_scale = None  # type: ignore[attr-defined]
        elif bool(self.bad):
            raise Diverged("the training loss is not finite")

    def check(self, step: int) -> None:
        if self.bad is not None and bool(self.bad):
            assert self.good_steps is not None
            raise Diverged(f"the training loss was not finite at step {int(self.good_steps)}")

    def means(self) -> dict[str, float]:
        """'train/<term>' since the last call."""
        sums, count = self.sums, self.count
        self.sums, self.count = {}, 0.0
        if not sums:
            return {}
        if self.looks_free:
            return {f"train/{name}": value / count for name, value in sums.items()}
        number = torch.as_tensor(count, device=self.last_loss.device)
        values = torch.stack([*(value.float() for value in sums.values()), number])
        *totals, divisor = values.tolist()
        return {f"train/{name}": value / divisor for name, value in zip(sums, totals, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any], step: int) -> None:
        self.sums, self.count = dict(state["sums"]), state["count"]
        if self.good_steps is not None:
            self.good_steps += step


def _rows(value: Any, rows: Tensor | slice) -> Any:
    """These rows of every tensor of a batch, nested ones too."""
    if isinstance(value, dict):
        return {key: _rows(entry, rows) for key, entry in value.items()}
    return value[rows]


def _split(batch: dict[str, Tensor], parts: int) -> list[dict[str, Tensor]]:
    """Equal parts of a batch."""
    size = len(batch["x"]) // parts
    return [_rows(batch, slice(i * size, (i + 1) * size)) for i in range(parts)]
