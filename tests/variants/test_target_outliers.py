import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.target_outliers import target_outliers
from tests.variants.support import classification, generator, only_train_changes, regression


def test_exactly_so_many_are_that_far_off():
    dataset = regression(200)
    dataset.validation = dataset.test = regression(3).train
    made = only_train_changes(target_outliers, dataset, rate=0.15, size=4.0)
    shift = made.train.labels["regression_targets"] - dataset.train.labels["regression_targets"]
    assert shift.unique().tolist() == [-4.0, 0.0, 4.0] and int((shift != 0).sum()) == 30
    assert torch.equal(made.train.inputs, dataset.train.inputs)
    assert 4 <= int((shift > 0).sum()) <= 26  # 15 expected, deviation 2.7


def test_refused():
    with pytest.raises(UsageError, match="regression_targets"):
        target_outliers(classification((3, 3)), generator())
