"""Training split: a copy of the training split among those that are measured at the end, as test/training/<metric>.

Kept      everything else
"""

from dataclasses import replace

from torch import Generator

from lossbench.datasets.dataset import Dataset


def training_split(dataset: Dataset, generator: Generator) -> Dataset:
    return replace(dataset, extra={**dataset.extra, "training": dataset.train})
