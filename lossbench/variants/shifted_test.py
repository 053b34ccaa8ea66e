"""Shifted test: a further split, the test split with noise on its inputs, measured as test/shifted/<metric>.

    x' = x + severity std noise        std: the data set's own, by which inputs are standardised (1 where it has none)

severity  >= 0: standard deviation of the Gaussian noise, in units of the standardised input
Adds      extra["shifted"]: the same examples and labels; values that leave the range of the inputs are clamped to it
Kept      train, validation and test stay as they are
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError


def shifted_test(dataset: Dataset, generator: Generator, *, severity: Annotated[float, Ge(0)] = 0.5) -> Dataset:
    inputs = dataset.test.inputs
    if not isinstance(inputs, Tensor):
        raise UsageError(
            "variant=shifted_test: it changes inputs that are in memory, and this data set reads them one at a time. "
            "Choose a data set that loads them (dataset.in_memory=true where it has that), or leave it out."
        )
    std = 1.0 if dataset.std is None else dataset.std.float()
    shifted = inputs.float() + severity * std * torch.randn(inputs.shape, generator=generator)
    limits = dataset.value_range or ((0, 255) if inputs.dtype == torch.uint8 else None)
    if limits is not None:
        shifted = shifted.clamp(*limits)
    return replace(dataset, extra={**dataset.extra, "shifted": Split(shifted, dict(dataset.test.labels))})
