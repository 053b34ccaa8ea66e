from dataclasses import replace

import pytest
import torch

from lossbench.datasets.dataset import Split
from lossbench.errors import UsageError
from lossbench.variants.first_classes import first_classes
from tests.variants.support import classification, generator, regression


def test_every_split_has_them_alone():
    dataset = replace(classification([10, 5, 3, 8]), class_names=["a", "b", "c", "d"], mean=torch.tensor(3.0))
    extra = {"shifted": dataset.train, "outliers": Split(torch.zeros(4, 1), {})}
    made = first_classes(replace(dataset, extra=extra), generator(), number=2)
    assert made.num_outputs == 2 and list(made.class_names) == ["a", "b"] and made.mean == dataset.mean
    for split in (made.train, made.extra["shifted"]):
        assert torch.bincount(split.labels["targets"]).tolist() == [10, 5]
        kept = split.inputs.flatten().long()
        assert torch.equal(split.labels["targets"], dataset.train.labels["targets"][kept])
    for split in (made.validation, made.test):
        assert split.labels["targets"].tolist() == [0, 1, 0, 1]  # of 0 1 2 3 0 1
    assert len(made.extra["outliers"]) == 4
    assert len(dataset.train) == 26 and dataset.num_outputs == 4


def test_all_classes():
    dataset = classification([4, 4])
    assert torch.equal(first_classes(dataset, generator(), number=2).train.inputs, dataset.train.inputs)


def test_refused():
    with pytest.raises(UsageError, match=r"number=5.*2\.\.3"):
        first_classes(classification([2, 2, 2]), generator(), number=5)
    with pytest.raises(UsageError, match="targets"):
        first_classes(regression(5), generator())
