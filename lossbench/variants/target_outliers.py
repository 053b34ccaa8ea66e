"""Target outliers: a part of the training targets of a regression is far off.

rate      in [0, 1]: exactly round(rate n) of the n training examples are outliers, drawn at random
size      > 0: how far off, in standard deviations of the targets; up or down with equal probability, all targets of an
          example independently
Kept      validation and test stay as they are
Differs   lossbench's own; the fixed size makes them outliers without doubt
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError


def target_outliers(
    dataset: Dataset,
    generator: Generator,
    *,
    rate: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    size: Annotated[float, Gt(0)] = 5.0,
) -> Dataset:
    if "regression_targets" not in dataset.train.labels:
        raise UsageError(
            f"variant=target_outliers: it needs regression_targets, and this data set has "
            f"{', '.join(dataset.train.labels)}. Choose a data set for regression, or another variant."
        )
    targets = dataset.train.labels["regression_targets"]
    chosen = torch.randperm(len(targets), generator=generator)[: round(rate * len(targets))]
    signs = torch.randint(2, (len(chosen), *targets.shape[1:]), generator=generator) * 2 - 1
    outlying = targets.index_add(0, chosen, size * signs.to(targets.dtype))
    return replace(dataset, train=Split(dataset.train.inputs, {**dataset.train.labels, "regression_targets": outlying}))
