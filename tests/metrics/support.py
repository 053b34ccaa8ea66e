"""What the tests of the metrics share."""

import warnings
from collections.abc import Callable

import numpy
import torch
from torch import Tensor


def reference(metric: Callable, *tensors: Tensor, **options: object) -> float:
    """scikit-learn's or scipy's value; their warnings about undefined cases are expected here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(metric(*(tensor.numpy() for tensor in tensors), **options))


def near(actual: Tensor, expected: object, tolerance: float = 1e-12) -> None:
    """A 0-d (or equally shaped) tensor equals the value; NaN equals NaN."""
    numpy.testing.assert_allclose(actual.numpy(), numpy.asarray(expected), rtol=tolerance, atol=tolerance)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
