"""The properties of a loss (or regularizer): one function each, which raises AssertionError with what is wrong.

``check(method, property)`` runs one of them by name and puts the names of the loss and the property in front of its
message. A ``method`` needs ``name``, ``module``, ``function``, ``words`` and ``defaults``; see methods.Method.
"""

import contextlib
import itertools
import random
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import numpy
import torch
from jaxtyping import jaxtyped
from torch import Generator, Tensor
from torch.autograd.gradcheck import GradcheckError

from lossbench import contract, ops, vocabulary
from lossbench.errors import UsageError
from tests.properties import inputs
from tests.properties.inputs import Tree, draw, evaluate, gradients, layouts, leaves, rebuilt
from tests.properties.methods import methods

Check = Callable[[Any], None]


def check(method: Any, name: str) -> None:
    """Run one property of CHECKS or WEIGHT_CHECKS."""
    try:
        {**CHECKS, **WEIGHT_CHECKS}[name](method)
    except Exception as error:  # an error inside the loss is a failure of the property that provoked it
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        raise AssertionError(f"{method.name} fails '{name}': {kind}{error}") from error


# --- the signature -----------------------------------------------------------------------------------------------


def signature(method: Any) -> None:
    """Every tensor is a word of the vocabulary; arguments and values have the annotated shapes and dtypes."""
    parameters = contract.signature(method.function)
    for word in method.words:
        assert hasattr(vocabulary, word), f"'{word}' is not a word of lossbench/vocabulary.py"
        assert parameters[word].annotation is not parameters[word].empty, f"'{word}' has no annotation"
    for word in ("params", "state"):
        if word in method.words:
            assert hasattr(method.module, f"init_{word}"), f"names '{word}', and its module has no init_{word}"
    promised = contract.return_annotation(method.function)
    assert promised is not None, "the returned values have no annotation"
    for tokens, dtype in itertools.product(layouts(method), (torch.float32, torch.float64)):
        tree = draw(method, tokens=tokens, dtype=dtype)
        arguments = [inputs.CALLABLES[w](tree[w]) if w in inputs.CALLABLES else tree[w] for w in method.words]
        result = method.function(*arguments)
        with jaxtyped("context"):  # an axis has one size within the context
            for word, argument in zip(method.words, arguments, strict=True):
                problem = _unlike(argument, parameters[word].annotation)
                assert not problem, f"'{word}' as the vocabulary draws it {problem}"
            problem = _unlike(result, promised)
            assert not problem, f"for *b = {list(inputs.Sizes(tokens=tokens).b)}, what it returns {problem}"
        values, state = evaluate(method, tree)
        for term, value in values.items():
            assert value.dtype == dtype, f"{term} is {value.dtype} where the inputs are {dtype}"
            of_completions = (inputs.SIZES.B * inputs.SIZES.R,)
            of_tokens = (*of_completions, inputs.SIZES.T)
            allowed = ((), (inputs.SIZES.B,), of_completions, of_tokens, inputs.Sizes(tokens=tokens).b)
            assert value.shape in allowed, f"{term} has shape {list(value.shape)}, not [], [B], [B (R)] or [B (R), T]"
        if "state" in method.words:
            fresh = draw(method, tokens=tokens, dtype=dtype, warm=False)["state"]
            shapes = {name: (t.shape, t.dtype) for name, t in fresh.items()}
            new = {name: (t.shape, t.dtype) for name, t in state.items()}
            assert new == shapes, f"the new state {new} is unlike the initial one {shapes}"
            for name, tensor in inputs.initial(method, "state", Generator()).items():
                assert tensor.dtype != torch.float64, f"init_state gives {name} in float64"


def _unlike(value: Any, annotation: Any) -> str:
    """What of the value does not fit the annotation; '' where it fits."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _unlike(value, get_args(annotation)[0])
    if origin is dict and isinstance(value, dict):
        inner = get_args(annotation)[1]
        return next((p for p in (_unlike(v, inner) for v in value.values()) if p), "")
    if origin is tuple and isinstance(value, tuple):
        parts = get_args(annotation)
        if len(parts) != len(value):
            return f"has {len(value)} parts, not {len(parts)}"
        return next((p for p in map(_unlike, value, parts) if p), "")
    if contract.is_tensor(annotation) and isinstance(value, Tensor):
        found = f"is {value.dtype} {list(value.shape)}, not {getattr(annotation, '__name__', annotation)}"
        return "" if isinstance(value, annotation) else found
    if origin is not None or annotation is Any:
        base = origin if isinstance(origin, type) else object
        return "" if isinstance(value, base) else f"is a {type(value).__name__}, not {annotation}"
    return "" if isinstance(value, annotation) else f"is a {type(value).__name__}, not {annotation}"


# --- gradients ---------------------------------------------------------------------------------------------------


def gradcheck(method: Any) -> None:
    """The gradient is that of finite differences, in float64, where stop-gradients keep their unperturbed values."""
    for tokens, setting in itertools.product(layouts(method), settings(method)):
        fast = tokens and False in layouts(method)  # one random direction for [B, T], where [B] is compared in full
        if fast and setting:
            continue
        tree = draw(method, tokens=tokens)
        names, tensors = zip(*inputs.differentiable(tree).items(), strict=True)
        tensors = tuple(t.clone().requires_grad_() for t in tensors)
        with replayed_stopgrad(method.function) as stopgrad:
            bound = (tree, names, setting, stopgrad)

            def run(*replaced: Tensor, bound: tuple = bound) -> tuple[Tensor, ...]:
                tree, names, setting, stopgrad = bound
                stopgrad.rewind()
                perturbed = rebuilt(tree, dict(zip(names, replaced, strict=True)))
                return tuple(evaluate(method, perturbed, **setting)[0].values())

            run(*tensors)
            try:
                torch.autograd.gradcheck(run, tensors, fast_mode=fast)
            except GradcheckError as error:
                raise AssertionError(f"with {setting or 'the defaults'}: {error}") from error


def settings(method: Any) -> Iterator[dict[str, Any]]:
    """Hyper-parameters that reach every branch: the defaults, then each option, and another value of each number."""
    yield {}
    for name, parameter in contract.hyperparameters(method.function).items():
        numbers = inputs.domain_samples(method, name)
        options: list[Any] = [*numbers[1:2]] or [v for v in bounds(parameter.annotation) if isinstance(v, (bool, str))]
        yield from ({name: option} for option in options if option != parameter.default)


class ReplayedStopgrad:
    """Stands in for ops.stopgrad: gives, in the order of the calls, the values of the first pass over the function."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.position = 0

    def rewind(self) -> None:
        self.position = 0

    def __call__(self, tensor: Tensor) -> Tensor:
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return tensor.detach()  # inside an inner torch.func.grad, whose result the loss stops by itself
        if self.position == len(self.values):
            self.values.append(tensor.detach().clone())
        self.position += 1
        return self.values[self.position - 1]


@contextlib.contextmanager
def replayed_stopgrad(function: Callable) -> Iterator[ReplayedStopgrad]:
    """Put a ReplayedStopgrad wherever ops.stopgrad was imported, until the end of the block."""
    original, replay = ops.stopgrad, ReplayedStopgrad()
    spaces = [vars(m) for name, m in list(sys.modules.items()) if name.split(".")[0] == "lossbench"]
    spaces.append(function.__globals__)
    found = [(space, key) for space in spaces for key, value in list(space.items()) if value is original]
    for space, key in found:
        space[key] = replay
    try:
        yield replay
    finally:
        for space, key in found:
            space[key] = original


def finite(method: Any) -> None:
    """Value, gradient and state are finite for hard inputs, born in float32, bfloat16 and float16."""
    for tokens in layouts(method):
        for warm in (True, False) if "state" in method.words else (True,):
            for case, tree in inputs.hard(draw(method, tokens=tokens, warm=warm)):
                # [B, T] and a fresh state are run for float32 only: the rounding of the inputs is tested without them.
                few = tokens or not warm
                for dtype in (torch.float32,) if few else (torch.float32, torch.bfloat16, torch.float16):
                    _assert_finite(method, inputs.born(tree, dtype), f"{case}, born in {dtype}")


def _assert_finite(method: Any, tree: Tree, case: str, **hyperparameters: Any) -> None:
    values, state, gradient = gradients(method, tree, **hyperparameters)
    for what, tensors in (("the value", values), ("the gradient of", gradient), ("the new state", state)):
        for name, tensor in tensors.items():
            bad = tensor[~tensor.isfinite()]
            assert not len(bad), f"{what} {name} has {len(bad)} entries like {bad[0].item()} for: {case}"


def signal(method: Any) -> None:
    """There is a gradient, and for a model that is confidently wrong every example has one."""
    tree = inputs.born(draw(method, tokens=layouts(method)[0]), torch.float32)
    gradient = gradients(method, tree)[2]
    assert any(g.abs().max() > 1e-9 for g in gradient.values()), "the gradient is 0 for random inputs"
    wrong = inputs.confidently(tree, "wrong", 30.0)
    if wrong is None:
        return
    values, _, gradient = gradients(method, wrong)
    per_example = [g.flatten(1).abs().amax(1) for path, g in gradient.items() if inputs.batched(path.split(".")[0])]
    if not per_example or all(v.ndim == 0 for v in values.values()):
        per_example = [g.abs().max().unsqueeze(0) for g in gradient.values()]
    largest = torch.stack([g.expand(inputs.SIZES.B) for g in per_example]).amax(0)
    weakest = largest.min().item()
    assert weakest > 1e-6, f"an example that is wrong by 30 has a gradient of {weakest:.1g}"


# --- the batch ---------------------------------------------------------------------------------------------------


def permutation(method: Any) -> None:
    """A permutation of the batch permutes the values per example and leaves batch statistics and state alone."""
    for tokens in layouts(method):
        tree = draw(method, tokens=tokens)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        values, state = evaluate(method, tree)
        permuted, permuted_state = evaluate(method, inputs.rows(tree, order))
        for term, value in values.items():
            expected = value.unflatten(0, (len(order), -1))[order].flatten(0, 1) if value.ndim else value
            _assert_close(permuted[term], expected, f"{term} of a permuted batch")
        for name, tensor in state.items():
            _assert_close(permuted_state[name], tensor, f"the new state {name} of a permuted batch")


def independence(method: Any) -> None:
    """The value of an example depends on that example alone, and that of a token on that token alone."""
    for tokens in layouts(method):
        tree = draw(method, tokens=tokens)
        values, _ = evaluate(method, tree)
        for part in (slice(0, 1), slice(1, 3), slice(3, None)):
            found, _ = evaluate(method, inputs.rows(tree, part))
            for term, value in values.items():
                if value.ndim:
                    _assert_close(found[term], value[part], f"{term} of a part of the batch, without the rest of it,")
        if layouts(method) == (False, True) and tokens:
            flat = {w: v.flatten(0, 1) if inputs.batched(w) else v for w, v in tree.items()}
            found, _ = evaluate(method, flat)
            for term, value in values.items():
                if value.ndim:
                    _assert_close(found[term], value.flatten(), f"{term} of [B * T] examples instead of [B, T] tokens")


def masked(method: Any) -> None:
    """Through every reduction: what is under the mask changes nothing, and an empty row or batch is no NaN."""
    for tokens, reduction in itertools.product(layouts(method), methods("reductions")):
        tree = draw(method, tokens=tokens)
        if reduction.name == "token_mean" and any(v.ndim == 1 for v in evaluate(method, tree)[0].values()):
            continue  # one value an example
        mask = vocabulary.mask(inputs.Sizes(tokens=tokens), Generator().manual_seed(0))
        mask[0], mask[1] = False, True
        junk = _with_junk(tree, ~mask)

        def total(values: dict[str, Tensor], mask: Tensor, reduction: Any = reduction) -> Tensor:
            totals = [
                reduction.function(v, mask if v.shape == mask.shape else None)[0] if v.ndim else v
                for v in values.values()
            ]
            return torch.stack(totals).sum()

        def run(tree: Tree, mask: Tensor, total: Callable = total) -> dict[str, Tensor]:
            tree = {**tree, "mask": mask} if "mask" in tree else tree
            values, _, gradient = gradients(method, tree, lambda values: total(values, mask))
            return {"total": total(values, mask), **{f"gradient of {path}": g for path, g in gradient.items()}}

        reads_mask = "mask" in tree or any(v.ndim for v in evaluate(method, tree)[0].values())
        expected = run(tree, mask)
        for name, tensor in expected.items():
            assert tensor.isfinite().all(), f"{name} through {reduction.name} with an empty row is not finite"
        for name, tensor in run(tree, torch.zeros_like(mask)).items():
            assert tensor.isfinite().all(), f"{name} through {reduction.name} with an empty batch is not finite"
        if reads_mask:
            for name, tensor in run(junk, mask).items():
                what = f"{name} through {reduction.name}, with other values under the mask,"
                _assert_close(tensor, expected[name], what)


def _with_junk(tree: Tree, where: Tensor) -> Tree:
    """Other values, of large size, at these positions of every tensor of this shape of the batch."""
    replaced = {}
    for word, tensor in leaves(tree).items():
        if not inputs.batched(word.split(".")[0]) or word in ("ids", "mask", "labels"):
            continue
        if tensor.shape[: where.ndim] == where.shape:
            there = where.reshape(where.shape + (1,) * (tensor.ndim - where.ndim))
            classes = dict.fromkeys(("targets", "ordered_targets", "task_targets"), inputs.SIZES.C)
            indices = {**classes, "groups": inputs.SIZES.G}
            if tensor.dtype == torch.bool:
                other = ~tensor
            else:
                other = (tensor + 1) % indices[word] if word in indices else -1e3 * tensor + 1
            replaced[word] = torch.where(there, other, tensor)
    return rebuilt(tree, replaced)


# --- many runs at once -------------------------------------------------------------------------------------------


def batched(method: Any) -> None:
    """torch.vmap over stacked inputs and over stacked floating hyper-parameters equals the loop, gradients included."""
    samples = {name: inputs.domain_samples(method, name) for name in method.defaults}
    sweeps = [{}, *({name: values} for name, values in samples.items() if values)]
    for tokens, sweep in itertools.product(layouts(method), sweeps):
        if tokens and sweep:
            continue
        trees = [draw(method, tokens=tokens, seed=seed) for seed in range(3)]
        stacked = {name: torch.tensor(values, dtype=torch.float64) for name, values in sweep.items()}
        tree = {path: torch.stack([leaves(t)[path] for t in trees]) for path in leaves(trees[0])}
        trained = {path: tree[path].requires_grad_() for path in inputs.differentiable(trees[0])}

        def one(tensors: dict[str, Tensor], hyper: dict[str, Tensor], like: Tree = trees[0]) -> tuple[dict, dict]:
            return evaluate(method, rebuilt(like, tensors), **hyper)

        values, state = torch.vmap(one, randomness="error")(tree, stacked)
        found = torch.autograd.grad(
            inputs.sum_of(values), list(trained.values()), allow_unused=True, materialize_grads=True
        )
        where = f" with {', '.join(sweep)} as 0-d tensors" if sweep else ""
        for run, single in enumerate(trees):
            hyper = {name: values[run] for name, values in sweep.items()}
            expected, expected_state, expected_gradient = gradients(method, single, **hyper)
            for kind, actual, wanted in (
                ("", values, expected),
                ("the new state ", state, expected_state),
                ("the gradient of ", dict(zip(trained, found, strict=True)), expected_gradient),
            ):
                for name, tensor in wanted.items():
                    _assert_close(actual[name][run], tensor, f"{kind}{name} under vmap{where}")


# --- purity ------------------------------------------------------------------------------------------------------


def purity(method: Any) -> None:
    """Inputs, random streams and modes are untouched; twice is the same, also without autograd; no graph is kept."""
    for tokens in layouts(method):
        tree = draw(method, tokens=tokens)
        versions = {path: t._version for path, t in leaves(tree).items()}
        copies = {path: t.clone() for path, t in leaves(tree).items()}
        before = _surroundings()
        values, state = evaluate(method, tree)
        for name, after in _surroundings().items():
            assert _equal(after, before[name]), f"it changed {name}"
        assert list(leaves(tree)) == list(copies), "it added or removed tensors of its inputs"
        for path, tensor in leaves(tree).items():
            same = tensor._version == versions[path] and _equal(tensor, copies[path])
            assert same, f"it edited '{path}' in place"
        again, again_state = evaluate(method, tree)
        with torch.no_grad():
            quiet, _ = evaluate(method, tree)
        for name, tensor in {**values, **state}.items():
            assert _equal(tensor, {**again, **again_state}[name]), f"{name} differs when it is called again"
        for name, tensor in values.items():
            _assert_close(quiet[name], tensor, f"{name} without autograd")
        tracked = rebuilt(tree, {path: t.clone().requires_grad_() for path, t in inputs.differentiable(tree).items()})
        for name, tensor in evaluate(method, tracked)[1].items():
            assert not tensor.requires_grad, f"the new state {name} keeps the graph of the step: stop its gradient"


def _surroundings() -> dict[str, Any]:
    return {
        "torch's random stream": torch.get_rng_state(),
        "Python's random stream": random.getstate(),
        "numpy's random stream": str(numpy.random.get_state()),
        "the grad mode": torch.is_grad_enabled(),
        "the default dtype": torch.get_default_dtype(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "the number of threads": torch.get_num_threads(),
    }


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b) or bool(a.is_floating_point() and torch.allclose(a, b, 0, 0, equal_nan=True))
    return a == b


# --- hyper-parameters --------------------------------------------------------------------------------------------


def domain(method: Any) -> None:
    """Every hyper-parameter is annotated and has a default inside its range; just outside and another type raise."""
    parameters = contract.hyperparameters(method.function)
    for name, parameter in parameters.items():
        annotation = parameter.annotation
        assert annotation is not parameter.empty, f"the hyper-parameter '{name}' has no annotation"
        assert parameter.default is not parameter.empty, f"the hyper-parameter '{name}' has no default"
        for value in [*outside(annotation), object()]:
            try:
                contract.check(method.function, {name: value}, "loss")
            except UsageError as error:
                assert f"loss.{name}" in str(error), f"the error for {name}={value} does not name the key: {error}"
            else:
                raise AssertionError(f"{name}={value} is outside of {contract.describe(annotation)} and was accepted")
        for value in bounds(annotation):
            contract.check(method.function, {name: value}, "loss")
    contract.check(method.function, method.defaults, "loss")


def extremes(method: Any) -> None:
    """Value and gradient are finite for hard inputs also at the bounds that belong to a range, and for every option."""
    for name, parameter in contract.hyperparameters(method.function).items():
        for value in bounds(parameter.annotation):
            for case, tree in inputs.hard(draw(method, tokens=layouts(method)[0])):
                single = inputs.born(tree, torch.float32)
                _assert_finite(method, single, f"{name}={value}, {case}", **{name: value})


def bounds(annotation: Any) -> list[Any]:
    """The ends of the range that belong to it, the options, the truth values."""
    return [value for value, inside in _marks(annotation) if inside]


def outside(annotation: Any) -> list[Any]:
    """Values just outside of every end of the range, and no option."""
    return [value for value, inside in _marks(annotation) if not inside]


def _marks(annotation: Any) -> Iterator[tuple[Any, bool]]:
    """(value, whether it is inside) at every end of the range of the annotation, and on the other side of it."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        base, *marks = get_args(annotation)
        yield from _marks(base)
        whole = not contract.accepts(base, 0.5)
        for mark in marks:
            for kind in ("gt", "ge", "lt", "le"):
                end = getattr(mark, kind, None)
                if end is None:
                    continue
                step = (1 if whole else 1e-6 * max(1.0, abs(end))) * (-1 if kind in ("ge", "gt") else 1)
                yield (end, True) if kind in ("ge", "le") else (end, False)
                yield end + step, False
    elif origin is Literal:
        yield from ((option, True) for option in get_args(annotation))
        yield "no such option", False
    elif annotation is bool:
        yield from ((True, True), (False, True))
    elif origin is not None and contract.accepts(annotation, None):
        for inner in get_args(annotation):
            yield from _marks(inner)
    elif origin in (list, tuple) or getattr(origin, "__name__", "") == "Sequence":
        inner = [a for a in get_args(annotation) if a is not Ellipsis]
        yield from (([value], False) for value, inside in (_marks(inner[0]) if inner else ()) if not inside)


def _assert_close(actual: Tensor, expected: Tensor, what: str) -> None:
    assert actual.shape == expected.shape, f"{what} has shape {list(actual.shape)}, not {list(expected.shape)}"
    if not torch.allclose(actual.double(), expected.double(), rtol=1e-7, atol=1e-9, equal_nan=True):
        worst = (actual.double() - expected.double()).abs().nan_to_num(torch.inf).max().item()
        raise AssertionError(f"{what} differs by {worst:.3g}")


# --- weights -----------------------------------------------------------------------------------------------------


def finite_weights(method: Any) -> None:
    """The weights, and the memory, of a reweighting are finite for hard inputs and for losses of every size."""
    for warm in (True, False) if "state" in method.words else (True,):
        tree = draw(method, tokens=layouts(method)[0], warm=warm)
        cases = list(inputs.hard(tree))
        if "losses" in tree:
            for scale in (0.0, 1e-8, 1.0, 1e4, 6e4):
                cases.append((f"losses times {scale:g}", {**tree, "losses": tree["losses"] * scale}))
        for case, hard in cases:
            values, state = evaluate(method, inputs.born(hard, torch.float32))
            for name, tensor in {**values, **state}.items():
                assert tensor.isfinite().all(), f"{name} is not finite for: {case}"


def batched_weights(method: Any) -> None:
    """torch.vmap over stacked inputs and stacked floating hyper-parameters equals the loop."""
    samples = {name: inputs.domain_samples(method, name) for name in method.defaults}
    for sweep in [{}, *({name: values} for name, values in samples.items() if values)]:
        trees = [draw(method, tokens=layouts(method)[0], seed=seed) for seed in range(3)]
        stacked = {name: torch.tensor(values, dtype=torch.float64) for name, values in sweep.items()}
        tree = {path: torch.stack([leaves(t)[path] for t in trees]) for path in leaves(trees[0])}

        def one(tensors: dict[str, Tensor], hyper: dict[str, Tensor], like: Tree = trees[0]) -> tuple[dict, dict]:
            return evaluate(method, rebuilt(like, tensors), **hyper)

        values, state = torch.vmap(one, randomness="error")(tree, stacked)
        for run, single in enumerate(trees):
            expected, expected_state = evaluate(method, single, **{name: sweep[name][run] for name in sweep})
            for name, tensor in {**expected, **expected_state}.items():
                _assert_close({**values, **state}[name][run], tensor, f"{name} under vmap with {list(sweep)}")


CHECKS: dict[str, Check] = {
    f.__name__: f
    for f in (
        signature,
        gradcheck,
        finite,
        signal,
        permutation,
        independence,
        masked,
        batched,
        purity,
        domain,
        extremes,
    )
}
WEIGHT_CHECKS: dict[str, Check] = {
    f.__name__: f for f in (signature, finite_weights, permutation, batched_weights, purity, domain)
}
