"""What the variants share: (dataset, generator, *, hyper-parameters) -> dataset, without touching the given one.

A variant changes the training split only: validation and test stay as they are, so that all runs are judged alike. Mean
and standard deviation stay those of the whole training split too.
"""

from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError


def training_targets(dataset: Dataset, name: str) -> Tensor:
    """The class of each training example, [n]."""
    if "targets" not in dataset.train.labels:
        raise UsageError(
            f"variant={name}: it needs targets, one class for each example, and this data set has "
            f"{', '.join(dataset.train.labels)}. Choose a data set for classification, or another variant."
        )
    return dataset.train.labels["targets"]
