"""What the variants share: (dataset, generator, *, hyper-parameters) -> dataset, without touching the given one.

A variant changes the training split only, or adds further splits: validation and test stay as they are, so that all
runs are judged alike (where a variant is another problem, such as one with fewer classes, it says so). Mean and
standard deviation stay those of the whole training split too.
"""

from dataclasses import replace

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset, LazyInputs, Split
from lossbench.errors import UsageError


def training_targets(dataset: Dataset, name: str) -> Tensor:
    """The class of each training example, [n]."""
    if "targets" not in dataset.train.labels:
        raise UsageError(
            f"variant={name}: it needs targets, one class for each example, and this data set has "
            f"{', '.join(dataset.train.labels)}. Choose a data set for classification, or another variant."
        )
    return dataset.train.labels["targets"]


def training_labels(dataset: Dataset, name: str) -> Tensor:
    """The label indicators of each training example, [n, C]."""
    if "labels" not in dataset.train.labels:
        raise UsageError(
            f"variant={name}: it needs labels, any number of them for each example, and this data set has "
            f"{', '.join(dataset.train.labels)}. Choose a multi-label data set, or another variant."
        )
    return dataset.train.labels["labels"]


def with_outliers(dataset: Dataset, inputs: Tensor | LazyInputs, name: str) -> Dataset:
    """With these inputs as the split ``outliers``, which only one variant may make."""
    if "outliers" in dataset.extra:
        raise UsageError(
            f"variant={name}: another variant has made the split of outliers already. Choose one variant for outliers."
        )
    return replace(dataset, extra={**dataset.extra, "outliers": Split(inputs, {})})


def in_memory(split: Split, name: str) -> Tensor:
    """The inputs of a split as one tensor."""
    if not isinstance(split.inputs, Tensor):
        raise UsageError(
            f"variant={name}: it changes inputs that are in memory, and this data set reads its inputs one at a time. "
            "Choose dataset.in_memory=true where the data set has it, or another variant."
        )
    return split.inputs


def value_range(dataset: Dataset) -> tuple[float, float] | None:
    """Least and greatest value of an input; None where there is no such range."""
    if dataset.value_range is None and dataset.train.inputs[0].dtype == torch.uint8:
        return 0.0, 255.0
    return dataset.value_range


def as_bytes(inputs: Tensor, dataset: Dataset) -> Tensor:
    """The inputs in the type of the data set's: rounded to bytes where these are bytes."""
    if dataset.train.inputs[0].dtype != torch.uint8:
        return inputs
    return inputs.round().clamp(0, 255).to(torch.uint8)
