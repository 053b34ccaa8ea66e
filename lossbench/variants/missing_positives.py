"""Missing positives: a part of the positives of every label of the training split is not annotated, and looks negative.

rate      in [0, 1]: exactly round(rate n_c) of the n_c positives of label c become 0, at random
Changes   the labels of the training split; validation and test stay as they are
Paper     the missing rate of Zhang et al. 2023, arXiv:2304.10539, which is 40 %
Differs   the number is exact for each label
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.variants.variant import training_labels


def missing_positives(
    dataset: Dataset, generator: Generator, *, rate: Annotated[float, Interval(ge=0, le=1)] = 0.4
) -> Dataset:
    labels = training_labels(dataset, "missing_positives").clone()
    for c in range(labels.shape[1]):
        positives = (labels[:, c] > 0.5).nonzero().flatten()
        order = torch.randperm(len(positives), generator=generator)
        labels[positives[order[: round(rate * len(positives))]], c] = 0
    return replace(dataset, train=Split(dataset.train.inputs, {**dataset.train.labels, "labels": labels}))
