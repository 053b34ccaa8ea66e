"""Subset: fewer training examples, drawn at random; where there are classes, each keeps its share to within one.

fraction   in (0, 1]: part of the training examples that is kept, at least one example
number     exactly so many examples, instead of fraction; null: fraction decides
Kept       validation and test stay as they are
"""

from dataclasses import replace
from typing import Annotated

from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, sample_indices
from lossbench.errors import UsageError


def subset(
    dataset: Dataset,
    generator: Generator,
    *,
    fraction: Annotated[float, Interval(gt=0, le=1)] = 0.1,
    number: Annotated[int, Ge(1)] | None = None,
) -> Dataset:
    n = len(dataset.train)
    if number is not None and number > n:
        raise UsageError(
            f"variant.subset.number={number}: there are only {n} training examples. Choose a number in 1..{n}."
        )
    wanted = max(1, round(fraction * n)) if number is None else number
    targets = dataset.train.labels.get("targets")
    per_example = isinstance(targets, Tensor) and targets.ndim == 1  # tokens have no share of an example to keep
    kept = sample_indices(n, wanted, generator, targets if per_example else None)
    return replace(dataset, train=dataset.train.select(kept))
