"""The tensors of many runs as one: every parameter gets a leading axis of runs, and one vmapped call of the objective
does a step of all of them.

A run enters and leaves a stack as the payload of its checkpoint (the trainer's format), so a run may be resumed in
another stack, or alone. Rows that share the objective up to numbers form a block, which is one vmapped call; rows that
share the optimizer's and the schedule's hyper-parameters form a segment, which is one ordinary optimizer over slices of
the stacked parameters: what updates the weights is the optimizer's own code.
"""

import contextlib
import copy
import inspect
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_args

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from lossbench import contract
from lossbench.objective import NETWORK, Network, Objective, unwrap
from lossbench.optimizers.eager import plain_step
from lossbench.preparing import Prepared
from lossbench.source import Source
from lossbench.trainer import Settings, final_metrics

# What optimizers keep as one number for a parameter; everything else in their state has the parameter's shape.
NUMBERS_OF_STATE = ("step", "mu", "eta", "mu_product")
METRIC_ELEMENTS = 2**24  # of collected tensors that metrics are computed from at once: bounds the memory

PASSES = (("body", "x"), ("head", "features"))  # what a task asks of the model for the tensors of nearly every loss

Label = tuple[str, ...]  # ('model', name) or ('params', function, name)


@dataclass
class Member:
    """One run of a stack: what does not change, and what it has come to.

    layout   the optimizer's parameter groups: (options, labels of the parameters)
    payload  its state in the trainer's checkpoint format, while it is in no stack
    """

    prepared: Prepared
    source: Source
    objective: Objective
    schedule: Callable[[int, int], float]
    settings: Settings
    generators: dict[str, Generator]
    optimizer_class: type[torch.optim.Optimizer]
    optimizer_options: dict[str, Any]
    layout: list[tuple[dict[str, Any], list[Label]]]
    shapes: tuple[tuple[int, ...], int]
    payload: dict[str, Any]
    best: dict[str, float] = field(default_factory=dict)
    last_row: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0  # its share of the training
    wall: float = 0.0  # its share of everything
    resumed: int = 0

    @property
    def seed(self) -> int:
        return self.prepared.config["seed"]

    @property
    def segment_key(self) -> str:
        return json.dumps([self.prepared.config[key] for key in ("optimizer", "schedule", "weight_decay_on_all")])


def enter(prepared: Prepared, parts: Mapping[str, Any]) -> tuple[Member, nn.Module]:
    """A run that was just built, or that a checkpoint is loaded into later, and its model."""
    model, optimizer, settings = parts["model"], parts["optimizer"], parts["settings"]
    labels: dict[int, Label] = {id(p): ("model", name) for name, p in model.named_parameters()}
    for function, tensors in parts["params"].items():
        labels |= {id(p): ("params", function, name) for name, p in tensors.items()}
    known = inspect.signature(type(optimizer)).parameters
    member = Member(
        prepared=prepared,
        source=parts["source"],
        objective=parts["objective"],
        schedule=parts["schedule"],
        settings=settings,
        generators=parts["generators"],
        optimizer_class=type(optimizer),
        optimizer_options={key: value for key, value in optimizer.defaults.items() if key in known},
        layout=[
            ({k: v for k, v in group.items() if k != "params"}, [labels[id(p)] for p in group["params"]])
            for group in optimizer.param_groups
        ],
        shapes=parts["shapes"],
        payload={
            "run": prepared.run,
            "step": 0,
            "seconds": 0.0,
            "resumed": -1,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "params": {f: {k: p.detach() for k, p in tensors.items()} for f, tensors in parts["params"].items()},
            "state": parts["state"],
            "average": [p.detach() for p in model.parameters()] if settings.ema is not None else [],
            "best": {},
            "best_weights": {},
            "last_row": {},
            "meter": {"sums": {}, "count": 0.0},
            "rng": torch.get_rng_state(),
            "device_rng": None,
        },
    )
    return member, model


# --- blocks: rows with the same objective, up to numbers -----------------------------------------------------------


def is_float(annotation: Any) -> bool:
    """Whether a hyper-parameter of this annotation is a real number, so that it may as well be a 0-d tensor."""
    return annotation is float or any(is_float(a) for a in get_args(annotation))


def stackable(function: Callable, name: str, value: Any) -> bool:
    """Whether runs that differ in this hyper-parameter can be one vmapped call."""
    if isinstance(value, Tensor):
        return True
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and is_float(contract.hyperparameters(unwrap(function))[name].annotation)


def _keywords(function: Callable) -> dict[str, Any]:
    return dict(function.keywords) if isinstance(function, partial) else {}


def _functions(objective: Objective) -> list[Callable]:
    return [*objective.functions, objective.reduction]


def block_key(objective: Objective) -> str:
    """Equal for objectives that differ in stackable hyper-parameters only."""

    def kind(function: Callable) -> list:
        shown = {}
        for name, value in _keywords(function).items():
            shape = list(value.shape) if isinstance(value, Tensor) else []
            shown[name] = f"stacked {shape}" if stackable(function, name, value) else repr(value)
        inner = unwrap(function)
        return [inner.__module__, inner.__qualname__, shown]

    return json.dumps([kind(function) for function in _functions(objective)])


def varying(objectives: Sequence[Objective], device: torch.device) -> list[dict[str, Tensor]]:
    """For each function of the objectives (losses, regularizers, reduction): the hyper-parameters in which the rows
    differ, stacked. The others stay the Python numbers that they are."""
    found, dtype = [], torch.get_default_dtype()
    for row_of_functions in zip(*map(_functions, objectives), strict=True):
        values = [_keywords(function) for function in row_of_functions]
        stacked = {}
        for name in values[0]:
            column = [v[name] for v in values]
            if not stackable(row_of_functions[0], name, column[0]):
                continue
            tensors = torch.stack([torch.as_tensor(v, dtype=dtype, device=device) for v in column])
            if not bool((tensors == tensors[0]).all()):
                stacked[name] = tensors
        found.append(stacked)
    return found


def with_hyperparameters(objective: Objective, values: Sequence[Mapping[str, Tensor]]) -> Objective:
    """The objective with other hyper-parameters bound to its functions."""
    if not any(values):
        return objective
    bound = copy.copy(objective)
    functions: list[Callable] = [
        partial(unwrap(f), **{**_keywords(f), **own}) for f, own in zip(_functions(objective), values, strict=True)
    ]
    *bound.functions, bound.reduction = functions
    return bound


@dataclass
class Block:
    """Rows whose objectives are one vmapped call.

    rows            of the stack
    hyper           for each function {name: [r, ...]}
    params, state   {function: {name: [r, ...]}}
    """

    rows: slice
    objective: Objective
    hyper: list[dict[str, Tensor]]
    params: dict[str, dict[str, Tensor]]
    state: dict[str, dict[str, Tensor]]
    unused: frozenset[Label] = frozenset()  # parameters that its losses do not depend on
    sums: dict[str, Any] = field(default_factory=dict)  # {'loss' or term: [r]} since the last evaluation
    count: Any = 0.0

    @property
    def needs_weights(self) -> bool:
        """Whether more is asked of the model than the features and the outputs of the batch's x."""
        named = {name for names in self.objective.wanted for name in names}
        named |= {i for step in self.objective.plan if step.inputs not in PASSES for i in step.inputs}
        return not named.isdisjoint(NETWORK)

    @property
    def needs_passes(self) -> bool:
        """Whether the features and the outputs of the batch's x are asked for; an attacked x may stand in its place."""
        return {step.inputs for step in self.objective.plan} >= set(PASSES)

    def add(self, losses: Tensor, terms: Mapping[str, Tensor], count: Tensor | float) -> None:
        count = count.double() if isinstance(count, Tensor) else float(count)
        count = torch.where(count == 0, 1.0, count) if isinstance(count, Tensor) else count or 1.0
        new = {"loss": losses.double() * count}
        if len(terms) > 1:
            new |= {name: value.double() for name, value in terms.items()}
        self.sums = {name: value + self.sums.get(name, 0.0) for name, value in new.items()}
        self.count = self.count + count

    def means(self) -> list[dict[str, float]]:
        """'train/<term>' since the last call, for each row."""
        sums, count = self.sums, self.count
        self.sums, self.count = {}, 0.0
        number = self.rows.stop - self.rows.start
        columns = {f"train/{name}": (value / count).tolist() for name, value in sums.items()}
        return [{name: column[row] for name, column in columns.items()} for row in range(number)]


@dataclass
class Segment:
    """Rows that one optimizer updates, of one block or of several.

    rows        of the stack
    optimizer   over slices of the stacked parameters
    rates       learning rate of each of its groups, before the schedule
    """

    rows: slice
    schedule: Callable[[int, int], float]
    optimizer: torch.optim.Optimizer
    slices: list[tuple[Tensor, Label]]
    rates: list[float]

    def __post_init__(self) -> None:
        self.optimizer_step = plain_step(self.optimizer)

    def step(self, gradients: Mapping[Label, Tensor | None], step: int, total_steps: int) -> None:
        multiplier = self.schedule(step, total_steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * multiplier
        for parameter, label in self.slices:
            gradient = gradients[label]
            parameter.grad = None if gradient is None else gradient
        self.optimizer_step()

    @property
    def learning_rate(self) -> float:
        return self.optimizer.param_groups[0]["lr"]


def _segment_key(member: Member) -> tuple[str, str]:
    """Equal for rows that may be one segment: of one block, or of several whose losses have no parameters and use the
    whole model."""
    whole = {step.inputs for step in member.objective.plan} >= set(PASSES)
    own = not whole or any(label[0] == "params" for _, labels in member.layout for label in labels)
    return block_key(member.objective) if own else "", member.segment_key


# --- the stack -----------------------------------------------------------------------------------------------------


class Stack:
    """Many runs that share model, data, shapes and steps.

    members   their payloads are taken into the stack; sorted here so that blocks and segments are consecutive rows
    model     any one of their models: it gives the modules, and its own tensors are not used
    """

    def __init__(self, members: Sequence[Member], model: nn.Module, device: torch.device):
        keys = {id(m): (block_key(m.objective), m.segment_key, m.seed, m.prepared.run) for m in members}
        self.members = sorted(members, key=lambda m: keys[id(m)])
        self.model, self.device = model.train(), device
        settings = self.members[0].settings
        self.autocast = settings.autocast
        self.evaluate = self._evaluate
        self.begin_step: Callable[[], None] | None = None
        self.kept: Callable = lambda state: state
        self.compiled = bool(settings.compile)
        if settings.compile:
            from lossbench import compiling

            self.evaluate = compiling.compiled(self._evaluate, settings.compile, device)
            if compiling.uses_graphs(settings.compile, device):
                self.begin_step, self.kept = compiling.begin_step, compiling.kept
        self.ema, self.clip_norm = settings.ema, settings.clip_norm
        payloads = [m.payload for m in self.members]
        self.trained = {name: p.requires_grad for name, p in model.named_parameters()}
        own = dict(model.named_buffers())
        if extra := set(model.state_dict()) - set(self.trained) - set(own):
            raise ValueError(f"the model has the same tensor under two names: {', '.join(sorted(extra))}")
        self.transposed = _linear_weights(model) if device.type == "cpu" else frozenset()
        self.parameters = {
            name: self._parameter(name, [p["model"][name] for p in payloads]).requires_grad_(needs)
            for name, needs in self.trained.items()
        }
        self.buffers = {
            name: _stacked([p["model"].get(name, buffer) for p in payloads], device) for name, buffer in own.items()
        }
        averages = zip(*(p["average"] for p in payloads), strict=True)
        self.average = [self._parameter(n, list(row)) for n, row in zip(self.parameters, averages, strict=False)]
        self.best_weights = self._stack_best(payloads)
        self.blocks = [self._block(rows) for rows in _runs_of([keys[id(m)][0] for m in self.members])]
        self.segments = [self._segment(rows) for rows in _runs_of([_segment_key(m) for m in self.members])]
        self.fresh = True  # no step was made yet
        self.data = Data(self.members, self.blocks, device)
        for member, payload in zip(self.members, payloads, strict=True):
            member.best, member.last_row = payload["best"], payload["last_row"]
            member.seconds, member.payload = payload["seconds"], {}

    def _parameter(self, name: str, rows: Sequence[Tensor]) -> Tensor:
        """The rows as one tensor. The weight [m, n] of a linear layer lies in memory as [n, m]: so are its products and
        its gradient made, which otherwise is copied in every step."""
        stacked = _stacked(rows, self.device)
        return stacked.mT.contiguous().mT if name in self.transposed else stacked

    def _stack_best(self, payloads: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        if not any(p["best_weights"] for p in payloads):
            return {}
        weights = [p["best_weights"] or p["model"] for p in payloads]
        return {name: _stacked([w[name] for w in weights], self.device) for name in weights[0]}

    def _block(self, rows: list[int]) -> Block:
        members = [self.members[i] for i in rows]
        payloads = [m.payload for m in members]
        block = Block(
            slice(rows[0], rows[-1] + 1),
            members[0].objective,
            varying([m.objective for m in members], self.device),
            _stacked_tree([p["params"] for p in payloads], self.device),
            _stacked_tree([p["state"] for p in payloads], self.device),
        )
        for tensors in block.params.values():
            for tensor in tensors.values():
                tensor.requires_grad_()
        meters = [p["meter"] for p in payloads]
        block.sums = {
            name: torch.tensor([float(m["sums"][name]) for m in meters], dtype=torch.float64, device=self.device)
            for name in meters[0]["sums"]
        }
        if block.sums:
            counts = [float(m["count"]) for m in meters]
            block.count = torch.tensor(counts, dtype=torch.float64, device=self.device)
        return block

    def _tensor(self, label: Label, row: int) -> tuple[Tensor, int]:
        """The stacked tensor of a label, and the first row that it has."""
        if label[0] == "model":
            return self.parameters[label[1]], 0
        block = next(b for b in self.blocks if b.rows.start <= row < b.rows.stop)
        return block.params[label[1]][label[2]], block.rows.start

    def _segment(self, rows: list[int]) -> Segment:
        first = self.members[rows[0]]
        groups: list[dict[str, Any]] = []
        slices: list[tuple[Tensor, Label]] = []
        for options, labels in first.layout:
            views = []
            for label in labels:
                whole, start = self._tensor(label, rows[0])
                views.append(self._lying(whole.detach()[rows[0] - start : rows[-1] + 1 - start], label))
            groups.append({**options, "params": views})
            slices += zip(views, labels, strict=True)
        rates = [group["lr"] for group in groups]
        optimizer = first.optimizer_class(groups, **first.optimizer_options)
        saved = [self.members[i].payload["optimizer"]["state"] for i in rows]
        for index, (view, label) in enumerate(slices):
            if index in saved[0]:
                optimizer.state[view] = self._optimizer_state([state[index] for state in saved], label)
        return Segment(slice(rows[0], rows[-1] + 1), first.schedule, optimizer, slices, rates)

    def _lying(self, tensor: Tensor, label: Label) -> Tensor:
        """A stacked tensor as it lies in memory: optimizers that go by single entries need no other order."""
        return tensor.mT if label[0] == "model" and label[1] in self.transposed else tensor

    def _optimizer_state(self, rows: Sequence[Mapping[str, Tensor]], label: Label) -> dict[str, Tensor]:
        found = {}
        for name, value in rows[0].items():
            if name in NUMBERS_OF_STATE:
                found[name] = value.clone()
            else:
                found[name] = self._lying(_stacked([row[name] for row in rows], self.device), label).contiguous()
        return found

    # --- a step ----------------------------------------------------------------------------------------------------

    def _network(self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> Network:
        network = Network.functional(self.model, parameters, buffers)
        return network.under_autocast(self.device.type, self.autocast)

    @contextlib.contextmanager
    def _attention(self) -> Iterator[None]:
        """Within: attention by plain matrix products where the processor's fused one has no vmap rule, which would be
        called run by run."""
        fused = torch.backends.cuda.flash_sdp_enabled()
        if self.device.type == "cpu":
            torch.backends.cuda.enable_flash_sdp(False)
        try:
            yield
        finally:
            torch.backends.cuda.enable_flash_sdp(fused)

    def _passes(self, batches: Sequence[Mapping[str, Any]], shared: bool) -> tuple[Tensor, Tensor]:
        """The features and outputs of all rows in one call; several blocks would make them one by one."""

        def one(parameters: dict, buffers: dict, x: Tensor) -> tuple[Tensor, Tensor]:
            network = self._network(parameters, buffers)
            features = network.body(x)
            return features, network.head(features)

        x = batches[0]["x"] if shared else torch.cat([batch["x"] for batch in batches])
        return torch.vmap(one, in_dims=(0, 0, None if shared else 0))(self.parameters, self.buffers, x)

    def losses(self, step: int, total_steps: int) -> list[Tensor]:
        """The losses of each block's rows [r], with gradient; terms and memory are taken note of."""
        batches, shared = self.data.batches(step)
        progress: Tensor | float = 0.0
        if any(block.objective.needs_progress for block in self.blocks):
            progress = torch.tensor(step / total_steps, device=self.device)
        with self._attention():
            if len(self.blocks) == 1:
                return [
                    self._losses_of(self.blocks[0], self.parameters, self.buffers, (), batches[0], shared, progress)
                ]
            sizes = [block.rows.stop - block.rows.start for block in self.blocks]
            # Only where all ask for them: running statistics must not see what a single run does not pass through.
            alike = all(block.needs_passes for block in self.blocks)
            made = [tensor.split(sizes) for tensor in self._passes(batches, shared)] if alike else []
            passes = list(zip(*made, strict=True)) if alike else [()] * len(sizes)
            # Split, and not slices: the gradient of a split is one concatenation.
            parameters, buffers = _split(self.parameters, sizes, self.transposed), _split(self.buffers, sizes)
            found = []
            for block, p, b, own, batch in zip(self.blocks, parameters, buffers, passes, batches, strict=True):
                weights = (p, b) if block.needs_weights or not own else ({}, {})
                found.append(self._losses_of(block, *weights, own, batch, shared, progress))
            return found

    def _losses_of(
        self,
        block: Block,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        passes: tuple[Tensor, ...],
        batch: dict[str, Any],
        shared: bool,
        progress: Tensor | float,
    ) -> Tensor:
        losses, count, terms, state = self.evaluate(block, parameters, buffers, passes, batch, shared, progress)
        if block.objective.has_state:
            block.state = {**block.state, **self.kept(state)}
        block.add(losses.detach(), terms, count)
        return losses

    def _evaluate(
        self,
        block: Block,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        passes: tuple[Tensor, ...],
        batch: dict[str, Any],
        shared: bool,
        progress: Tensor | float,
    ) -> tuple[Tensor, Any, dict[str, Tensor], dict]:
        """Losses [r], count, terms and new memory of a block's rows."""
        counts: list[Any] = []

        def one(parameters: Any, buffers: Any, passes: Any, batch: Any, params: Any, state: Any, hyper: Any) -> tuple:
            network = self._network(parameters, buffers)
            if passes:
                network = _with_passes(network, batch["x"], *passes, known=bool(parameters))
            evaluation = with_hyperparameters(block.objective, hyper)(network, batch, params, state, progress)
            count = evaluation.count
            if not isinstance(count, Tensor):  # a Python number is no output of vmap; it is the same for all
                if self.compiled:  # nor does the compiler let it out
                    count = torch.full_like(evaluation.total.detach(), count)
                else:
                    counts.append(count)
                    count = evaluation.total.detach()
            return evaluation.loss, count, evaluation.terms, evaluation.state

        in_dims = (0, 0, 0, None if shared else 0, 0, 0, 0)
        losses, count, terms, state = torch.vmap(one, in_dims=in_dims)(
            parameters, buffers, passes, batch, block.params, block.state, block.hyper
        )
        return losses, counts[0] if counts else count, terms, state

    def train_step(self, step: int, total_steps: int) -> Tensor:
        """One step of every run; returns their losses [R]. A row whose loss is not finite is left in ruins."""
        leaves = [p for p in self.parameters.values() if p.requires_grad]
        leaves += [p for block in self.blocks for tensors in block.params.values() for p in tensors.values()]
        for leaf in leaves:
            leaf.grad = None
        if self.begin_step is not None:
            self.begin_step()
        found = self.losses(step, total_steps)
        if self.fresh:
            self._find_unused(found, leaves)
        losses = torch.cat(found)
        losses.sum().backward()
        if self.clip_norm is not None:
            self._clip()
        for segment in self.segments:
            segment.step(self._gradients(segment), step, total_steps)
        if self.average:
            weights = [p.detach() for p in self.parameters.values()]
            torch._foreach_lerp_(self.average, weights, 1 - (self.ema or 0.0))
        return losses.detach()

    def _find_unused(self, losses: Sequence[Tensor], leaves: Sequence[Tensor]) -> None:
        """Once: the parameters that a block does not use have no gradient, as in a single run, where an optimizer
        leaves them alone; here the neighbours' use gives them one of zeros."""
        self.fresh = False
        if len(self.blocks) == 1:
            return
        names = {id(p): ("model", name) for name, p in self.parameters.items()}
        for block, own in zip(self.blocks, losses, strict=True):
            gradients = torch.autograd.grad(own.sum(), leaves, retain_graph=True, allow_unused=True)
            unused = (names.get(id(p)) for p, g in zip(leaves, gradients, strict=True) if g is None)
            block.unused = frozenset(label for label in unused if label is not None)
        for s in self.segments:
            if len({b.unused for b in self.blocks if b.rows.start < s.rows.stop and s.rows.start < b.rows.stop}) > 1:
                raise ValueError("losses that ask for the model's outputs leave different parts of it without gradient")

    def _gradients(self, segment: Segment) -> dict[Label, Tensor | None]:
        found: dict[Label, Tensor | None] = {}
        unused = next(b for b in self.blocks if b.rows.start <= segment.rows.start < b.rows.stop).unused
        for _, label in segment.slices:
            whole, start = self._tensor(label, segment.rows.start)
            rows = slice(segment.rows.start - start, segment.rows.stop - start)
            found[label] = None if whole.grad is None or label in unused else self._lying(whole.grad[rows], label)
        return found

    def _clip(self) -> None:
        """Each run's gradient to the maximal norm, over its model's and its loss's parameters."""
        squares = torch.zeros(len(self.members), device=self.device)
        for p in self.parameters.values():
            if p.grad is not None:
                squares += _per_row(p.grad).square().sum(1)
        for block in self.blocks:
            for p in _leaves(block.params):
                if p.grad is not None:
                    squares[block.rows] += _per_row(p.grad).square().sum(1)
        assert self.clip_norm is not None
        factors = (self.clip_norm / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        for p in self.parameters.values():
            if p.grad is not None:
                p.grad.mul_(_broadcast(factors, p))
        for block in self.blocks:
            for p in _leaves(block.params):
                if p.grad is not None:
                    p.grad.mul_(_broadcast(factors[block.rows], p))

    # --- evaluation ------------------------------------------------------------------------------------------------

    def weights(self) -> dict[str, Tensor]:
        """What is evaluated and kept: the (averaged) parameters and the buffers, stacked."""
        parameters = {name: p.detach() for name, p in self.parameters.items()}
        if self.average:
            parameters = dict(zip(parameters, self.average, strict=True))
        return {**parameters, **self.buffers}

    def measure(self, split: str, weights: Mapping[str, Tensor]) -> list[dict[str, float]]:
        """The task's metrics of a split for each row, '<split>/<metric>'."""
        values = self._for_each_row(self.members[0].objective.task.metrics)(**self._collect(split, weights))
        return self._by_row({f"{split}/{name}": value for name, value in values.items()})

    def final_metrics(self, weights: Mapping[str, Tensor]) -> list[dict[str, float]]:
        """What is measured at the end, for each row."""
        objective, source = self.members[0].objective, self.members[0].source
        collect = partial(self._collect, weights=weights)
        return self._by_row(final_metrics(objective, source, collect, self._for_each_row))

    def _collect(self, split: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that the task's metrics name, of a whole split, [rows, N, ...]."""
        objective, source = self.members[0].objective, self.members[0].source
        given = source.names(split)
        observe = objective.observer(objective.observable(given), given)
        parameters = {name: weights[name] for name in self.parameters}
        buffers = {name: weights[name] for name in self.buffers}

        def one(parameters: dict, buffers: dict, batch: dict) -> dict[str, Tensor]:
            return observe(self._network(parameters, buffers), batch)

        self.model.eval()
        with torch.no_grad(), self._attention():
            collected = [
                torch.vmap(one, in_dims=(0, 0, None))(parameters, buffers, batch) for batch in source.evaluation(split)
            ]
        self.model.train()
        return {name: torch.cat([c[name] for c in collected], 1) for name in collected[0]}

    def _for_each_row(self, metrics: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
        """The metrics of every row, a few rows at a time; one by one where vmap cannot trace them."""

        def of_all(*positional: Any, **named: Any) -> dict[str, Tensor]:
            def of_one(positional: Any, named: Any) -> dict[str, Tensor]:
                return metrics(*positional, **named)

            largest = max(tensor[0].numel() for tensor in tree_leaves([positional, named]))
            at_once = max(1, METRIC_ELEMENTS // largest)
            try:
                return torch.vmap(of_one, chunk_size=at_once)(positional, named)
            except RuntimeError:  # such as a search whose number of steps depends on the values
                rows = [
                    of_one(*tree_map(lambda tensor, row=row: tensor[row], (positional, named)))
                    for row in range(len(self.members))
                ]
                return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

        return torch.no_grad()(of_all)

    def _by_row(self, values: Mapping[str, Tensor]) -> list[dict[str, float]]:
        columns = {name: value.tolist() for name, value in values.items()}
        return [{name: column[row] for name, column in columns.items()} for row in range(len(self.members))]

    def keep_best(self, rows: Sequence[int]) -> None:
        """Take the weights of these rows as their best so far."""
        weights = self.weights()
        if not self.best_weights:
            self.best_weights = {name: value.clone() for name, value in weights.items()}
        elif rows:
            index = torch.tensor(rows, device=self.device)
            for name, value in weights.items():
                self.best_weights[name][index] = value[index]

    def finite_weights(self) -> list[bool]:
        """Whether all parameters of a row are finite, its loss's too."""
        finite = torch.ones(len(self.members), dtype=torch.bool, device=self.device)
        for p in self.parameters.values():
            finite &= _per_row(p.detach()).isfinite().all(1)
        for block in self.blocks:
            for p in _leaves(block.params):
                finite[block.rows] &= _per_row(p.detach()).isfinite().all(1)
        return finite.tolist()

    # --- out of the stack --------------------------------------------------------------------------------------------

    def best_of(self, row: int) -> dict[str, Tensor]:
        names = self.model.state_dict()
        return {name: _plain(self.best_weights[name][row]) for name in names}

    def payload(self, row: int, step: int) -> dict[str, Any]:
        """A run's checkpoint: what ``lossbench.trainer.Trainer`` would write, and can go on from."""
        member = self.members[row]
        block = next(b for b in self.blocks if b.rows.start <= row < b.rows.stop)
        segment = next(s for s in self.segments if s.rows.start <= row < s.rows.stop)
        state = {}
        for index, (view, label) in enumerate(segment.slices):
            if view in segment.optimizer.state:
                state[index] = {
                    name: value.clone()
                    if name in NUMBERS_OF_STATE
                    else _plain(self._lying(value, label)[row - segment.rows.start])
                    for name, value in segment.optimizer.state[view].items()
                }
        groups = segment.optimizer.state_dict()["param_groups"]
        tensors = {**self.parameters, **self.buffers}
        on_cpu = self.device.type == "cpu"
        place = row - block.rows.start
        count = block.count[place] if isinstance(block.count, Tensor) and block.count.ndim else block.count
        return {
            "run": member.prepared.run,
            "step": step,
            "seconds": member.seconds,
            "resumed": member.resumed,
            "model": {name: _plain(tensors[name].detach()[row]) for name in self.model.state_dict()},
            "optimizer": {"state": state, "param_groups": groups},
            "scaler": {},
            "params": tree_map(lambda t: t.detach()[place].clone(), block.params),
            "state": tree_map(lambda t: t.detach()[place].clone(), block.state),
            "average": [_plain(average[row]) for average in self.average],
            "best": member.best,
            "best_weights": self.best_of(row) if self.best_weights else {},
            "last_row": member.last_row,
            "meter": {
                "sums": {k: v[place].item() if on_cpu else v[place].clone() for k, v in block.sums.items()},
                "count": float(count) if on_cpu else count,
            },
            **self.data.state_dict(row),
        }

    def leave(self, step: int) -> None:
        """Give every member its payload back; the stack is not used after."""
        for row, member in enumerate(self.members):
            member.payload = self.payload(row, step)


class Data:
    """The batches of all rows: each seed has the order, the augmentations and the random draws of its single run."""

    def __init__(self, members: Sequence[Member], blocks: Sequence[Block], device: torch.device):
        self.members, self.blocks, self.device = members, blocks, device
        seeds = sorted({m.seed for m in members})
        self.place = {seed: i for i, seed in enumerate(seeds)}
        by_seed = {m.seed: m for m in reversed(members)}
        self.sources = [by_seed[seed].source for seed in seeds]
        for source in self.sources:
            source.kept = self.sources[0].kept  # one copy of the data
        self.rows = torch.tensor([self.place[m.seed] for m in members], device=device)
        # One set of streams for each block and seed: rows of a block with the same seed draw the same numbers.
        self.generators: dict[tuple[int, int], dict[str, Generator]] = {}
        for number, block in enumerate(blocks):
            for member in members[block.rows]:
                self.generators.setdefault((number, self.place[member.seed]), member.generators)
        for member in members:
            saved = member.payload
            source = self.sources[self.place[member.seed]]
            if "source" in saved:
                source.load_state_dict(saved["source"])
            for name, generator in self._streams(member).items():
                if name in saved.get("generators", {}):
                    generator.set_state(saved["generators"][name].cpu())
        self.rng = [m.payload["rng"] for m in members]
        self.epoch = -1
        self.simple = not self.sources[0].augmentations and not any(b.objective.draws for b in blocks)

    def _streams(self, member: Member) -> dict[str, Generator]:
        row = next(i for i, m in enumerate(self.members) if m is member)
        number = next(i for i, b in enumerate(self.blocks) if b.rows.start <= row < b.rows.stop)
        return self.generators[number, self.place[member.seed]]

    def state_dict(self, row: int) -> dict[str, Any]:
        member = self.members[row]
        return {
            "source": self.sources[self.place[member.seed]].state_dict(),
            "generators": {name: g.get_state() for name, g in self._streams(member).items()},
            "rng": self.rng[row],
            "device_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def batches(self, step: int) -> tuple[list[dict[str, Any]], bool]:
        """(the batch of each block, whether all its rows share it and it has no axis of runs)"""
        first = self.sources[0]
        epoch, place = divmod(step, first.steps_per_epoch)
        if epoch != self.epoch:
            self.epoch = epoch
            self.orders = torch.stack([source.order(epoch) for source in self.sources]).to(self.device)
        chosen = self.orders[:, place * first.batch_size : (place + 1) * first.batch_size]
        shared = len(self.sources) == 1
        if self.simple:
            batch = first.examples(chosen[0] if shared else chosen[self.rows])
            if len(self.blocks) == 1:
                return [batch], shared
            return [batch if shared else _rows(batch, block.rows) for block in self.blocks], shared
        own = []
        for source, indices in zip(self.sources, chosen, strict=True):
            own.append(source.augmented(source.examples(indices)))
        found = []
        for number, block in enumerate(self.blocks):
            drawn = {
                seed: block.objective.draw(dict(own[seed]), generators)
                for (of, seed), generators in self.generators.items()
                if of == number
            }
            if shared:
                found.append(drawn[0])
            else:
                rows = [drawn[self.place[m.seed]] for m in self.members[block.rows]]
                found.append(tree_map(lambda *tensors: torch.stack(tensors), rows[0], *rows[1:]))
        return found, shared


# --- tensors of tensors ----------------------------------------------------------------------------------------------


def _with_passes(network: Network, x: Tensor, features: Tensor, outputs: Tensor, *, known: bool) -> Network:
    """The network whose features and outputs of x are there already.

    known   whether the network has weights for other passes
    """
    body, head = network.body, network.head

    def looked_up(inputs: Tensor, of: Tensor, made: Tensor, otherwise: Callable[[Tensor], Tensor]) -> Tensor:
        if inputs is of:
            return made
        if not known:
            raise ValueError("another pass through the model than the task's signatures say")
        return otherwise(inputs)

    return network._replace(
        body=lambda inputs: looked_up(inputs, x, features, body),
        head=lambda inputs: looked_up(inputs, features, outputs, head),
    )


def _plain(tensor: Tensor) -> Tensor:
    """A copy that lies in memory as a tensor of this shape usually does."""
    return tensor.clone(memory_format=torch.contiguous_format)


def _stacked(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    return torch.stack([t.detach().to(device) for t in tensors])


def _stacked_tree(trees: Sequence[Mapping[str, Mapping[str, Tensor]]], device: torch.device) -> dict[str, Any]:
    return {
        outer: {inner: _stacked([tree[outer][inner] for tree in trees], device) for inner in trees[0][outer]}
        for outer in trees[0]
    }


def _rows(tree: Any, rows: slice) -> Any:
    return tree_map(lambda t: t[rows], tree)


def _runs_of(keys: Sequence[Any]) -> list[list[int]]:
    """The positions of equal consecutive keys."""
    return [list(positions) for _, positions in itertools.groupby(range(len(keys)), keys.__getitem__)]


def _linear_weights(model: nn.Module) -> frozenset[str]:
    """The weights of linear layers that no other layer shares."""
    layers = [(name, m.weight) for name, m in model.named_modules() if type(m) is nn.Linear]
    uses = Counter(id(p) for m in model.modules() for p in m.parameters(recurse=False))
    return frozenset(f"{name}.weight" if name else "weight" for name, weight in layers if uses[id(weight)] == 1)


def _split(
    tensors: Mapping[str, Tensor], sizes: Sequence[int], transposed: frozenset[str] = frozenset()
) -> list[dict[str, Tensor]]:
    """Consecutive rows. Of ``transposed`` ones so that the gradient, which is put together again, lies as they do."""
    parts: dict[str, Sequence[Tensor]] = {}
    for name, tensor in tensors.items():
        if name in transposed:
            parts[name] = [part.mT for part in tensor.mT.split(list(sizes))]
        else:
            parts[name] = tensor.split(list(sizes))
    return [{name: part[i] for name, part in parts.items()} for i in range(len(sizes))]


def _leaves(params: Mapping[str, Mapping[str, Tensor]]) -> Iterable[Tensor]:
    return (tensor for tensors in params.values() for tensor in tensors.values())


def _per_row(stacked: Tensor) -> Tensor:
    return stacked.reshape(len(stacked), -1)


def _broadcast(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 1))
