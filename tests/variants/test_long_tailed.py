import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.long_tailed import long_tailed
from tests.variants.support import classification, generator, only_train_changes, regression, still_together


def test_published_class_sizes():  # CIFAR-10-LT with imbalance factor 100, as papers on it print them
    dataset = classification([5000] * 10)
    made = only_train_changes(long_tailed, dataset, imbalance_factor=100.0)
    sizes = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert torch.bincount(made.train.labels["targets"]).tolist() == sizes
    assert made.class_counts.tolist() == sizes
    still_together(made, dataset)


def test_published_total():  # CIFAR-100-LT with imbalance factor 100 has 10,847 images
    assert len(long_tailed(classification([500] * 100), generator(), imbalance_factor=100.0).train) == 10_847


def test_limits():
    dataset = classification([7, 7, 7])
    made = long_tailed(dataset, generator(), imbalance_factor=1.0)
    assert torch.equal(made.train.inputs, dataset.train.inputs)
    # a class that has fewer keeps what it has; at least one is kept: floor(9 / 10) and floor(9 / 100) are 0
    made = long_tailed(classification([9, 2, 9]), generator(), imbalance_factor=100.0)
    assert torch.bincount(made.train.labels["targets"]).tolist() == [9, 1, 1]
    made = long_tailed(classification([9, 2, 9]), generator(), imbalance_factor=2.0)
    assert torch.bincount(made.train.labels["targets"]).tolist() == [9, 2, 4]


def test_needs_classes():
    with pytest.raises(UsageError, match="variant=long_tailed"):
        long_tailed(regression(5), generator())
