"""What the tests of single losses share: random inputs from the vocabulary, and two comparisons."""

import inspect
import zlib
from collections.abc import Callable

import torch
from torch import Tensor

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
