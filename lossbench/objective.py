"""(loss, task, reduction, regularizers, reweightings) -> one pure objective, the same for every engine.

The signature is the contract: a loss names the tensors it wants, the task has methods named after the tensors it can
provide, and a method's own parameters are names again. All names are resolved once, before step 0; per step only what
the loss names is computed. Nothing here draws random numbers, moves data or knows a loss or a task by name.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from lossbench import contract
from lossbench.errors import UsageError
from lossbench.ops import masked_mean

NETWORK = ("body", "head", "forward", "model_parameters")
ENGINE = (*NETWORK, "progress", "params", "state")
METRICS = ("metrics", "test_metrics")  # the public methods of a task that provide no tensor


class Step(NamedTuple):
    """One tensor of the plan: its name, the task's method that makes it, and what that is made from."""

    name: str
    method: Callable
    inputs: tuple[str, ...]


class Network(NamedTuple):
    """A model as the objective sees it: callables and the parameters, whatever holds the parameters.

    forward   the whole model for extra passes. It leaves running statistics alone: they belong to the batch that is
              trained on, and torch.func.grad refuses what changes a buffer in place.
    """

    body: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor]
    forward: Callable[[Tensor], Tensor]
    model_parameters: Mapping[str, Tensor]

    @staticmethod
    def of(model: nn.Module) -> "Network":
        body, head = cast(nn.Module, model.body), cast(nn.Module, model.head)
        forward: Callable[[Tensor], Tensor] = model
        if any(True for _ in model.buffers()):

            def forward(inputs: Tensor) -> Tensor:
                copies = {name: buffer.clone() for name, buffer in model.named_buffers()}
                return functional_call(model, copies, (inputs,))

        return Network(body, head, forward, dict(model.named_parameters()))

    @staticmethod
    def functional(model: nn.Module, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> "Network":
        """The same model with other tensors in the place of its own; for vmap over many sets of parameters."""
        tensors = {**parameters, **buffers}

        def part(name: str) -> Callable[[Tensor], Tensor]:
            prefix = name + "."
            own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            return lambda inputs: functional_call(getattr(model, name), own, (inputs,))

        def forward(inputs: Tensor) -> Tensor:
            copies = {name: buffer.clone() for name, buffer in buffers.items()}
            return functional_call(model, {**parameters, **copies}, (inputs,))

        return Network(part("body"), part("head"), forward, parameters)

    def under_autocast(self, device_type: str, dtype: torch.dtype | None) -> "Network":
        """The network whose passes run in mixed precision; itself where no type is given."""
        if dtype is None:
            return self

        def within(part: Callable) -> Callable:
            def cast(*inputs: Any) -> Tensor:
                with torch.autocast(device_type, dtype=dtype):
                    return part(*inputs)

            if hasattr(part, "cache"):
                cast.cache = part.cache  # type: ignore[attr-defined]  # a language model can still be read on from
            return cast

        return Network(within(self.body), within(self.head), within(self.forward), self.model_parameters)


class Evaluation(NamedTuple):
    """What the objective returns. The loss of a step is total / count; both add over micro-batches and ranks.

    total   [] sum over what was counted, with gradient
    count   [] or a number; 0 means that there is nothing to divide by
    terms   {term: []} totals of the single terms, detached
    state   {function: {name: tensor}} the new memory of the functions that have one
    """

    total: Tensor
    count: Tensor | float  # type: ignore[assignment]  # tuples have a method of this name, which nobody needs here
    terms: dict[str, Tensor]
    state: dict[str, dict[str, Tensor]]

    @property
    def loss(self) -> Tensor:
        return divide(self.total, self.count)


def divide(total: Tensor, count: Tensor | float) -> Tensor:
    if isinstance(count, Tensor):
        return total / torch.where(count == 0, torch.ones_like(count), count)
    return total / count if count else total


@dataclass(frozen=True)
class Facts:
    """What modules with ``init_state`` or ``init_params`` may ask for, by these names."""

    num_examples: int
    num_outputs: int
    num_features: int
    device: torch.device
    num_groups: int = 0  # 0 where the data set has no groups


def name_of(function: Callable) -> str:
    return unwrap(function).__name__


def unwrap(function: Callable) -> Callable:
    """The function itself, without the hyper-parameters bound to it."""
    return function.func if isinstance(function, partial) else function


def sibling(function: Callable, name: str) -> Callable | None:
    """``init_state`` or ``init_params`` of the module that the function lives in."""
    return getattr(sys.modules[unwrap(function).__module__], name, None)


def _diagnostics_of(loss: Callable) -> Callable | None:
    """``diagnostics`` of the loss's module, with those of the loss's hyper-parameters that it has too."""
    found = sibling(loss, "diagnostics")
    if found is None or not isinstance(loss, partial):
        return found
    own = contract.signature(found)
    return partial(found, **{key: value for key, value in loss.keywords.items() if key in own})


def provided(task: Any) -> dict[str, Callable]:
    """The tensors that a task (class or object) provides: its public methods by name."""
    return {
        name: getattr(task, name)
        for name in dir(task)
        if not name.startswith("_") and name not in METRICS and inspect.isfunction(inspect.getattr_static(task, name))
    }


def missing(function: Callable, task: Any, batch: Sequence[str] | None = None, also: Sequence[str] = ()) -> list[str]:
    """The tensors that a loss names and that neither the task, nor its batch, nor the engine, nor its module has.

    also   further names that are there: ``losses`` for a reweighting
    """
    given = {*(task.batch if batch is None else batch)} - {*getattr(task, "withheld", ())}
    known = {*provided(task), *given, *also}
    known |= {"forward", "model_parameters", "progress"}
    known |= {"params"} if sibling(function, "init_params") else set()
    known |= {"state"} if sibling(function, "init_state") else set()
    return [name for name in contract.tensor_names(unwrap(function)) if name not in known]


def explain(who: str, tensor: str, task: type) -> str:
    """That ``who`` needs a tensor which the task does not provide, and who does."""
    own = snake_case(task.__name__)
    hosts = [other for other in tasks_with(tensor) if other != own]
    remedy = f"Use task={' or task='.join(hosts)}" if hosts else "Choose another loss, or a task that provides it"
    return f"'{who}' needs the tensor '{tensor}', which task '{own}' does not provide. {remedy}."


def unsuited(function: Callable, task: Any) -> str | None:
    """Why a function cannot work with this task although all its tensors are there; None where it can.

    A task with ``tokens`` has one target a token, [B, T], the others one an example; annotations say what is wanted.
    """
    tokens = getattr(task, "tokens", False)
    from lossbench import vocabulary

    parameters = contract.signature(unwrap(function))
    for word in contract.tensor_names(unwrap(function)):
        if not hasattr(vocabulary, word):
            continue
        usual = getattr(contract.return_annotation(getattr(vocabulary, word)), "dim_str", "")
        own = getattr(parameters[word].annotation, "dim_str", "")
        if not (usual.startswith("*b") and own) or own.startswith("*b"):
            continue
        if tokens and not own.startswith("B T"):
            return f"takes '{word}' once an example, [{own}], and this task has it once a token"
        if not tokens and own.startswith("B T"):
            return f"takes '{word}' once a token, [{own}], and this task has it once an example"
    return None


class Objective:
    """The pure objective of a run.

    loss, reduction, regularizers, reweightings   functions with their hyper-parameters bound (functools.partial)
    task    an object whose public methods provide tensors; see lossbench/tasks/. Those that it names in ``collected``
            are made once for a batch of the data, before the steps on it: with the weights of that moment, in
            evaluation mode, without gradient. Their first axis is that of the batch. What it names in ``withheld`` is
            not taken from the batch of a step, but from its methods, or is not there
    batch   the names that a batch of this data set has
    instead {name: function} of tensors that are made by these instead of by the task's methods
    Raises UsageError where a named tensor cannot be provided.
    """

    def __init__(
        self,
        loss: Callable,
        task: Any,
        reduction: Callable,
        regularizers: Sequence[Callable] = (),
        batch: Sequence[str] | None = None,
        reweightings: Sequence[Callable] = (),
        instead: Mapping[str, Callable] | None = None,
    ):
        self.task = task
        self.methods = {**provided(task), **(instead or {})}
        self.reduction = reduction
        withheld = getattr(task, "withheld", ())
        self.batch_names = tuple(name for name in (task.batch if batch is None else batch) if name not in withheld)
        self.functions = [loss, *regularizers, *reweightings]
        self.reweightings = range(len(self.functions) - len(reweightings), len(self.functions))
        self.names = [name_of(f) for f in self.functions]
        self.wanted = [contract.tensor_names(unwrap(f)) for f in self.functions]
        for place, function in enumerate(self.functions):
            also = ("losses",) if place in self.reweightings else ()
            for name in missing(function, task, self.batch_names, also):
                raise UsageError(explain(name_of(function), name, type(task)))
            if reason := unsuited(function, task):
                kind = snake_case(type(task).__name__)
                raise UsageError(f"'{name_of(function)}' {reason} (task={kind}). Choose another one.")
        for name, function in (instead or {}).items():
            if name not in provided(task):
                raise UsageError(explain(name_of(function), name, type(task)))
            for word in missing(function, task, self.batch_names):
                raise UsageError(explain(name_of(function), word, type(task)))
        self.masked = "mask" in provided(task) or "mask" in self.batch_names
        self.has_state = any("state" in names for names in self.wanted)
        everything = [name for names in self.wanted for name in names if name != "losses"]
        everything += ["mask"] if self.masked else []
        collected = tuple(getattr(task, "collected", ()))
        self.plan, self.draws, self.depends = self._resolve(everything, (*self.batch_names, *collected))
        self.diagnostics = _diagnostics_of(loss)
        asked = contract.tensor_names(unwrap(self.diagnostics)) if self.diagnostics else ()
        self.diagnosis, _, _ = self._resolve(asked, (*self.batch_names, *collected))
        inputs = [*self.wanted, asked, *(step.inputs for step in (*self.plan, *self.draws, *self.diagnosis))]
        used = {name for names in inputs for name in names}
        self.collected = [name for name in collected if name in used]
        self.collection, self.collection_draws, _ = self._resolve(self.collected, self.batch_names)
        self.needs_progress = any("progress" in names for names in inputs)

    def _resolve(
        self, names: Sequence[str], batch_names: Sequence[str]
    ) -> tuple[list[Step], list[Step], dict[str, set[str]]]:
        """What to compute, in order, so that the named tensors are there: (pure methods, random draws outside the
        objective, and for each computed tensor all that it depends on)."""
        methods = self.methods
        pure: list[Step] = []
        draws: list[Step] = []
        depends: dict[str, set[str]] = {}

        def visit(name: str) -> None:
            if name in depends or name in ENGINE or name in batch_names:
                return
            if name not in methods:
                raise UsageError(explain(snake_case(type(self.task).__name__), name, type(self.task)))
            arguments = contract.tensor_names(unwrap(methods[name]))
            inputs = tuple(argument for argument in arguments if argument != "generator")
            for argument in inputs:
                visit(argument)
            depends[name] = {name}.union(*(depends.get(argument, {argument}) for argument in inputs))
            (draws if "generator" in arguments else pure).append(Step(name, methods[name], inputs))

        for name in names:
            visit(name)
        return pure, draws, depends

    def observable(self, batch_names: Sequence[str]) -> list[str]:
        """Which of the tensors that the task's metrics name can be had from a batch with these names; those that the
        metrics can do without (parameters with a default) only where the batch leads to them."""

        def there(name: str) -> bool:
            if name in batch_names or name in NETWORK:
                return True
            method = self.methods.get(name)
            return method is not None and all(there(argument) for argument in contract.tensor_names(unwrap(method)))

        return [name for name in contract.tensor_names(self.task.metrics) if there(name)]

    def measurable(self, batch_names: Sequence[str]) -> bool:
        """Whether a batch with these names has everything that the task's metrics cannot do without."""
        return set(contract.required(self.task.metrics)) <= set(self.observable(batch_names))

    def observer(
        self, names: Sequence[str], batch_names: Sequence[str] | None = None
    ) -> Callable[[Network, Mapping[str, Any]], dict[str, Any]]:
        """A function of (network, batch) that computes just the named tensors; for metrics.

        batch_names    what such a batch has, where it is not what a training batch has
        """
        pure, _, _ = self._resolve(names, self.batch_names if batch_names is None else batch_names)

        def observe(network: Network, batch: Mapping[str, Any]) -> dict[str, Any]:
            values = {**batch, **network._asdict()}
            _compute(pure, values)
            return {name: upcast(values[name]) for name in names}

        return observe

    def init(self, facts: Facts, generator: Generator) -> tuple[dict[str, Any], dict[str, Any]]:
        """(params, state) of the loss and the regularizers, by function name; on the device of ``facts``."""
        params: dict[str, Any] = {}
        state: dict[str, Any] = {}
        for function, name, wanted in zip(self.functions, self.names, self.wanted, strict=True):
            for word, made in (("params", params), ("state", state)):
                if word in wanted:
                    make = sibling(function, f"init_{word}")
                    assert make is not None
                    available = {**vars(facts), "generator": generator}
                    if isinstance(function, partial):
                        available |= function.keywords
                    asked = {key: available[key] for key in contract.signature(make) if key in available}
                    made[name] = {key: value.to(facts.device) for key, value in make(**asked).items()}
        return params, state

    @torch.no_grad()
    def collect(
        self, network: Network, batch: Mapping[str, Any], generators: Mapping[str, Generator]
    ) -> dict[str, Any]:
        """The batch with what the task collects before the steps on it, as far as these need it."""
        values = {**batch, **network._asdict()}
        for name, method, inputs in self.collection_draws:
            values[name] = method(*[values[i] for i in inputs], generators[name])
        _compute(self.collection, values)
        return {**batch, **{name: values[name] for name in self.collected}}

    @torch.no_grad()
    def diagnose(self, network: Network, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """{name: []} what the loss's module says of a batch beside the loss: means over what counts."""
        if self.diagnostics is None:
            return {}
        values = {**batch, **network._asdict()}
        _compute(self.diagnosis, values)
        found = self.diagnostics(*[upcast(values[word]) for word in contract.tensor_names(unwrap(self.diagnostics))])
        mask = values.get("mask")
        return {
            name: masked_mean(value, mask if mask is not None and mask.shape == value.shape else None)
            for name, value in found.items()
        }

    def draw(self, batch: dict[str, Any], generators: Mapping[str, Generator]) -> dict[str, Any]:
        """The batch with the random tensors that the loss names, each from the stream of its own name."""
        for name, method, inputs in self.draws:
            batch[name] = method(*[batch[i] for i in inputs], generators[name])
        return batch

    def __call__(
        self,
        network: Network,
        batch: Mapping[str, Any],
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        progress: Tensor | float = 0.0,
    ) -> Evaluation:
        return self._reduce(*self._measure(network, batch, params, state, progress))

    def several(
        self,
        network: Network,
        batch: Mapping[str, Any],
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        progress: Tensor | float = 0.0,
        *,
        of: str,
    ) -> tuple[Evaluation, Tensor]:
        """The evaluation, and beside it the single objectives [m] with gradient: 'terms', each reduced by itself, or
        'examples', each with the sum of its own values, the mean over its tokens, and all values of the whole batch."""
        terms, mask, new_state = self._measure(network, batch, params, state, progress)
        objectives = self._of_terms(terms, mask) if of == "terms" else self._of_examples(terms, mask)
        return self._reduce(terms, mask, new_state), objectives

    def _of_terms(self, terms: Mapping[str, Tensor], mask: Tensor | None) -> Tensor:
        if len(terms) == 1:
            raise UsageError(
                f"aggregation: loss={self.names[0]} has one term only, whose gradient is the ordinary one. Choose a "
                "loss with several terms, add a regularizer, or aggregation_of=examples."
            )

        def reduced(value: Tensor) -> Tensor:
            if not value.ndim:
                return value
            return divide(*self.reduction(value, mask if mask is not None and mask.shape == value.shape else None))

        return torch.stack([reduced(value) for value in terms.values()])

    def _of_examples(self, terms: Mapping[str, Tensor], mask: Tensor | None) -> Tensor:
        def of_each(value: Tensor) -> Tensor:
            if value.ndim < 2:
                return value if mask is None or mask.shape != value.shape else torch.where(mask, value, 0.0)
            counted = torch.ones_like(value, dtype=torch.bool) if mask is None or mask.shape != value.shape else mask
            return torch.where(counted, value, 0.0).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)

        if all(not value.ndim for value in terms.values()):
            raise UsageError(
                f"aggregation_of=examples: loss={self.names[0]} has one value for the whole batch. "
                "Choose another loss, or aggregation_of=terms."
            )
        return sum([of_each(value) for value in terms.values()], torch.zeros(()).to(next(iter(terms.values()))))

    def _measure(
        self,
        network: Network,
        batch: Mapping[str, Any],
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        progress: Tensor | float,
    ) -> tuple[dict[str, Tensor], Tensor | None, dict]:
        """(all terms before the reduction, the mask, the new memory)."""
        values = {**batch, **network._asdict(), "progress": progress}
        _compute(self.plan, values)
        terms, new_state = self._terms(values, params, state)
        mask = values["mask"] if self.masked else None
        if "partner" in batch:
            if self.has_state:
                raise UsageError("augmentation: label mixing does not go with a loss that keeps per-example memory.")
            other = {**values, **batch["partner"]}
            for name, method, inputs in self.plan:
                if not self.depends[name].isdisjoint(batch["partner"]):
                    other[name] = method(*[other[i] for i in inputs])
            partner_terms, _ = self._terms(other, params, state)
            terms = {key: _mix(value, partner_terms[key], batch["partner_weight"]) for key, value in terms.items()}
        return terms, mask, new_state

    def _terms(self, values: Mapping[str, Any], params: Mapping, state: Mapping) -> tuple[dict[str, Tensor], dict]:
        terms: dict[str, Tensor] = {}
        new_state: dict[str, Any] = {}
        of_loss: list[str] = []  # its terms, which the reweightings weigh
        for place, (function, name, wanted) in enumerate(zip(self.functions, self.names, self.wanted, strict=True)):
            own = {"params": params.get(name), "state": state.get(name)}
            if place in self.reweightings:
                own["losses"] = self._losses([terms[term] for term in of_loss])
            result = function(*[own[word] if word in own else upcast(values[word]) for word in wanted])
            if "state" in wanted:
                result, new_state[name] = result
            if place in self.reweightings:
                weights = result.detach()
                for term in of_loss:
                    if terms[term].ndim >= weights.ndim:
                        terms[term] = terms[term] * _to_rank(weights, terms[term].ndim)
                continue
            for term, value in result.items() if isinstance(result, dict) else ((name, result),):
                terms[f"{name}.{term}" if term in terms else term] = value
            of_loss = of_loss or list(terms)
        return terms, new_state

    def _losses(self, terms: Sequence[Tensor]) -> Tensor:
        """The loss of each element: the sum of the terms that have the shape of the first one with elements."""
        shape = next((value.shape for value in terms if value.ndim), None)
        if shape is None:
            raise UsageError(
                f"reweighting={self.names[self.reweightings.start]} weighs elements, but loss={self.names[0]} has one "
                "value for the whole batch. Choose another loss, or reweighting=[]."
            )
        return torch.stack([value.detach() for value in terms if value.shape == shape]).sum(0)

    def _reduce(self, terms: Mapping[str, Tensor], mask: Tensor | None, state: dict) -> Evaluation:
        """The reduction of the sum of all terms with one value an element: the worst examples of a reduction that
        looks for them are those of the whole loss, not of each term. Terms of another shape (one value an example
        beside one a token) are reduced by themselves, each to the mean over its own elements."""
        shapes: dict[torch.Size, list[str]] = {}
        for name, value in terms.items():
            if value.ndim:
                shapes.setdefault(value.shape, []).append(name)
        count: Tensor | float = 1
        totals: dict[str, Tensor] = {}
        summed: list[Tensor] = []
        for place, (shape, names) in enumerate(shapes.items()):
            fitting = mask if mask is not None and mask.shape == shape else None
            own_total, own = self.reduction(sum([terms[name] for name in names[1:]], terms[names[0]]), fitting)
            if place == 0:
                count = own
            scaled = place > 0 and _counts(own)  # to the count of the first shape, which is the objective's
            summed.append(divide(own_total, own) * count if scaled else own_total)
            for name in names:
                total = own_total if len(names) == 1 else self.reduction(terms[name].detach(), fitting)[0]
                totals[name] = (divide(total, own) * count if scaled else total).detach()
        for name, value in terms.items():
            if not value.ndim:  # a batch statistic: it weighs as much as the examples of its batch
                summed.append(value * count if _counts(count) else value)
                totals[name] = summed[-1].detach()
        total = summed[0] if len(summed) == 1 else torch.stack(summed).sum()
        return Evaluation(total, count, {name: totals[name] for name in terms}, state)


def _counts(count: Tensor | float) -> bool:
    """Whether the reduction divides at all; a count that is a tensor can only be 0 by accident."""
    return isinstance(count, Tensor) or bool(count)


def _mix(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return a + _to_rank(weight if a.ndim else weight.mean(), a.ndim) * (b - a)


def _to_rank(weights: Tensor, rank: int) -> Tensor:
    """[B] as [B, 1, ...], so that it multiplies what belongs to the examples."""
    return weights.reshape(weights.shape + (1,) * (rank - weights.ndim))


def _compute(steps: Sequence[Step], values: dict[str, Any]) -> None:
    """Add to the values what the steps make of them, in their order."""
    for name, method, inputs in steps:
        values[name] = method(*[values[i] for i in inputs])


def upcast(value: Any) -> Any:
    """At least float32, so that a loss never computes in half precision; callables give upcast outputs."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if not isinstance(value, dict) and callable(value):  # the compiler knows no callable(dict)
        return lambda *inputs: upcast(value(*inputs))
    return value


def snake_case(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def tasks_with(tensor: str) -> list[str]:
    """The tasks that provide a tensor, found in the folder of the tasks."""
    from lossbench.tasks import tasks

    return [name for name, task in tasks().items() if tensor in provided(task) or tensor in task.batch]


def adds_over_micro_batches(
    objective: Objective, batch_size: int = 8, parts: int = 2, num_outputs: int = 5
) -> str | None:
    """None where the objective of a batch is the sum over its parts; otherwise which function breaks that.

    Checked, not declared: the reduction is evaluated on values of the run's own batch and on its parts, every function
    on a batch sampled from the vocabulary, with the run's number of outputs, and on its two halves; all on the CPU.
    """
    from lossbench import vocabulary

    tokens = getattr(objective.task, "tokens", False)
    draw = torch.randn((batch_size, 3) if tokens else batch_size, generator=Generator().manual_seed(0))
    draw = draw.flatten().sort().values.view_as(draw)  # the worst ones are in one part, and not by luck in all of them
    whole, pieces = objective.reduction(draw), [objective.reduction(part) for part in draw.chunk(parts)]
    counts = torch.stack([torch.as_tensor(p[1], dtype=torch.float64) for p in (whole, *pieces)])
    if not _adds(whole[0], [p[0] for p in pieces]) or not _adds(counts[0], [*counts[1:]]):
        return f"reduction={name_of(objective.reduction)}"
    B = 6 if num_outputs != 6 else 12  # the axis of examples is told by its size
    sizes = vocabulary.Sizes(B=B, C=num_outputs, N=2 * B + 1, D=B - 1, X=B + 2, T=B + 3, tokens=tokens)
    first_shape = None
    for place, (function, name, wanted) in enumerate(
        zip(objective.functions, objective.names, objective.wanted, strict=True)
    ):
        group = "loss" if place == 0 else "reweighting" if place in objective.reweightings else "regularizer"
        culprit = f"{group}={name}"
        if any(not hasattr(vocabulary, word) for word in wanted):
            continue
        if isinstance(function, partial):  # class weights, for instance, are on the run's device
            own = {key: v.cpu() if isinstance(v, Tensor) else v for key, v in function.keywords.items()}
            function = partial(function.func, **own)
        generator = Generator().manual_seed(0)
        tensors = {word: getattr(vocabulary, word)(sizes, generator) for word in wanted}
        facts = Facts(sizes.N, sizes.C, sizes.D, torch.device("cpu"), sizes.G)
        params, state = objective.init(facts, generator)
        tensors |= {"params": params.get(name), "state": state.get(name)}

        def values(rows: slice, function=function, wanted=wanted, tensors=tensors) -> list[Tensor]:
            per_example = {
                w: t[rows] if isinstance(t, Tensor) and t.ndim and len(t) == sizes.B else t for w, t in tensors.items()
            }
            result = function(*[per_example[w] for w in wanted])
            result = result[0] if "state" in wanted else result
            return list(result.values()) if isinstance(result, dict) else [result]

        halves = zip(values(slice(0, B // 2)), values(slice(B // 2, B)), strict=True)
        for full, (first, second) in zip(values(slice(0, B)), halves, strict=True):
            if full.ndim == 0 and wanted == ("model_parameters",):
                if not _counts(whole[1]):
                    return f"{culprit} with reduction={name_of(objective.reduction)}"  # it would count once a part
                continue
            first_shape = full.shape if first_shape is None else first_shape
            if full.ndim == 0 or full.shape != first_shape:
                return culprit
            if not torch.allclose(full, torch.cat([first, second]), rtol=1e-6, atol=1e-8):
                return culprit
    return None


def _adds(whole: Tensor, parts: list[Tensor]) -> bool:
    return torch.allclose(whole, torch.stack(parts).sum(), rtol=1e-5)
