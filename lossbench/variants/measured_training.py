"""Measured training: the training split is a further split too, whose metrics are read once, at the end of a run.

For claims about optimization: test/training/<metric> is the metric over the whole training split, with the selected
weights and the model as it is in evaluation, where train/loss is a mean over the steps of an epoch.

Kept      train, validation and test stay as they are
"""

from dataclasses import replace

from torch import Generator

from lossbench.datasets.dataset import Dataset


def measured_training(dataset: Dataset, generator: Generator) -> Dataset:
    return replace(dataset, extra={**dataset.extra, "training": dataset.train})
