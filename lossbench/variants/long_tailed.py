"""Long-tailed: class sizes of the training split fall exponentially, the first class keeps its size.

    n_c = floor(n_max / imbalance_factor^(c / (C - 1)))        n_max = size of the largest class

imbalance_factor   >= 1: size of the first class over that of the last; 1 changes a balanced data set in nothing
Kept      a random n_c of each class, all where there are fewer, at least one; validation and test stay as they are
Paper     Cui et al. 2019, arXiv:1901.05555, section 5.1
Differs   nothing
"""

import math
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.variants.variant import training_targets


def long_tailed(
    dataset: Dataset, generator: Generator, *, imbalance_factor: Annotated[float, Ge(1)] = 100.0
) -> Dataset:
    targets = training_targets(dataset, "long_tailed")
    largest, steps = int(torch.bincount(targets).max()), max(dataset.num_outputs - 1, 1)
    order = torch.randperm(len(targets), generator=generator)
    kept = []
    for c in range(dataset.num_outputs):
        # The small number keeps a size that is whole, such as 5000 / 100, from being rounded below it.
        size = math.floor(largest * imbalance_factor ** (-c / steps) + 1e-9)
        kept.append(order[targets[order] == c][: max(size, 1)])
    return replace(dataset, train=dataset.train.select(torch.cat(kept).sort().values))
