"""What the tests of single losses share: random inputs from the vocabulary, comparisons, and two checks of numerics."""

import inspect
import zlib
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vmap

from lossbench import contract, vocabulary


def sample(*names: str, tokens: bool = False, seed: int = 0, **sizes: int) -> list:
    """Samples of the named words, float64, always the same for the same name, sizes and seed."""
    chosen = vocabulary.Sizes(tokens=tokens, **sizes)
    return [
        getattr(vocabulary, name)(chosen, torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed))
        for name in names
    ]


def near(actual: Tensor, expected: object, tolerance: float = 1e-9) -> None:
    """Equal within the tolerance, absolutely and relatively, and of the same shape."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual.double(), expected.expand_as(actual), rtol=tolerance, atol=tolerance)


def same(loss: Callable, other: Callable, tolerance: float = 1e-9, **hyperparameters: object) -> None:
    """The loss with these hyper-parameters equals the other function on random inputs, per example and per token.

    Where the other function has hyper-parameters of the same names, it gets them too.
    """
    names = contract.tensor_names(loss)
    passed_on = {k: v for k, v in hyperparameters.items() if k in inspect.signature(other).parameters}
    for seed in range(3):
        tensors = sample(*names, seed=seed)
        near(loss(*tensors, **hyperparameters), other(*tensors[: _positional(other)], **passed_on), tolerance)


def _positional(function: Callable) -> int:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds for p in inspect.signature(function).parameters.values())


def flat(result: object) -> list[Tensor]:
    """The tensors of a loss's result: one, a dict of terms, or either of them with the new state."""
    if isinstance(result, Tensor):
        return [result]
    return [tensor for part in (result.values() if isinstance(result, dict) else result) for tensor in flat(part)]


def stacked(loss: Callable, given: dict[str, list] | None = None, **hyperparameters: list) -> None:
    """vmap over stacked inputs and hyper-parameters gives the values and the gradients of single calls.

    hyperparameters   three values of each, which become 0-d tensors
    given             three values of the words that the vocabulary cannot draw: params, state. A single callable (the
                      model) is not stacked
    """
    names, given = contract.tensor_names(loss), given or {}
    runs = [[given[n][seed] if n in given else sample(n, seed=seed)[0] for n in names] for seed in range(3)]
    forward = sample("forward")[0]
    runs = [[forward if callable(value) else value for value in run] for run in runs]
    stacks = [_stack([run[i] for run in runs]) for i in range(len(names))]
    over = [None if callable(value) else 0 for value in stacks]
    chosen = {name: torch.tensor(values, dtype=torch.float64) for name, values in hyperparameters.items()}

    def call(own: dict[str, Tensor], *values: object) -> list[Tensor]:
        return flat(loss(*values, **own))

    leaves = [t.requires_grad_() for t in _leaves(stacks) if t.is_floating_point()]
    together = vmap(call, (0, *over))(chosen, *stacks)
    gradients = torch.autograd.grad(_total(together), leaves, allow_unused=True, materialize_grads=True)
    for i in range(3):
        single = [_pick(value, i) for value in stacks]
        own_leaves = [t.detach_().requires_grad_() for t in _leaves(single) if t.is_floating_point()]
        alone = flat(loss(*single, **{name: float(values[i]) for name, values in chosen.items()}))
        for one, many in zip(alone, together, strict=True):
            near(many[i], one)
        own = torch.autograd.grad(_total(alone), own_leaves, allow_unused=True, materialize_grads=True)
        for one, many in zip(own, gradients, strict=True):
            near(many[i], one)


def extreme(loss: Callable, *tensors: object, **hyperparameters: object) -> tuple[list[Tensor], list[Tensor]]:
    """(values, gradients of their sum) of a loss in float32, after a check that all of them are finite.

    The gradients are those of the tensors (also in dicts) that are floating-point, in their order.
    """
    single = [_float32(value) for value in tensors]
    leaves = [t.requires_grad_() for t in _leaves(single) if t.is_floating_point()]
    values = flat(loss(*single, **hyperparameters))
    gradients = list(torch.autograd.grad(_total(values), leaves, allow_unused=True, materialize_grads=True))
    for tensor in values + gradients:
        assert tensor.isfinite().all(), tensor
    return values, gradients


def _total(values: list[Tensor]) -> Tensor:
    return torch.stack([value.sum() for value in values if value.requires_grad]).sum()


def _stack(values: list) -> object:
    if isinstance(values[0], dict):
        return {key: torch.stack([value[key] for value in values]) for key in values[0]}
    return torch.stack(values) if isinstance(values[0], Tensor) else values[0]


def _pick(value: object, i: int) -> object:
    if isinstance(value, dict):
        return {key: tensor[i].detach().clone() for key, tensor in value.items()}
    return value[i].detach().clone() if isinstance(value, Tensor) else value


def _leaves(values: list) -> list[Tensor]:
    tensors = [list(v.values()) if isinstance(v, dict) else [v] for v in values]
    return [t for group in tensors for t in group if isinstance(t, Tensor)]


def _float32(value: object) -> object:
    if isinstance(value, dict):
        return {key: _float32(tensor) for key, tensor in value.items()}
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().clone().float()
    return value
