"""Long-tailed labels: the sizes of the labels of the training split fall exponentially, as those of long_tailed do.

    n_c <= max(floor(n_max / imbalance_factor^(c / (C - 1))), 1)        n_max = size of the largest label

imbalance_factor   >= 1: what the first label may have over what the last one may have
Kept      examples in random order, each where none of its labels has all that it may have yet; those without a label
          too. Labels of one example are kept or left out together, so that a label may end below its size. Validation
          and test stay as they are
"""

import math
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.variants.variant import training_labels


def long_tailed_labels(
    dataset: Dataset, generator: Generator, *, imbalance_factor: Annotated[float, Ge(1)] = 50.0
) -> Dataset:
    labels = training_labels(dataset, "long_tailed_labels") > 0.5
    largest, steps = int(labels.sum(0).max()), max(dataset.num_outputs - 1, 1)
    # The small number keeps a size that is whole from being rounded below it.
    left = [max(math.floor(largest * imbalance_factor ** (-c / steps) + 1e-9), 1) for c in range(dataset.num_outputs)]
    own = [row.nonzero().flatten().tolist() for row in labels]
    kept = []
    for i in torch.randperm(len(own), generator=generator).tolist():
        if all(left[c] > 0 for c in own[i]):
            kept.append(i)
            for c in own[i]:
                left[c] -= 1
    return replace(dataset, train=dataset.train.select(torch.tensor(sorted(kept))))
