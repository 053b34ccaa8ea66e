import pytest
import torch

from lossbench.datasets.dataset import Split
from lossbench.errors import UsageError
from lossbench.variants.one_versus_rest import one_versus_rest
from tests.variants.support import classification, generator, regression


@pytest.mark.parametrize(("positive", "classes"), [(2, {2}), ([0, 3], {0, 3})])
def test_every_split_becomes_the_same_problem(positive, classes):
    dataset = classification([7, 5, 4, 9])
    dataset.extra = {"shifted": dataset.test, "outliers": Split(torch.zeros(3, 1), {})}
    before = dataset.train.labels["targets"].clone()
    made = one_versus_rest(dataset, generator(), positive=positive)
    assert made.num_outputs == 2 and len(made.class_names) == 2
    pairs = ((made.train, dataset.train), (made.validation, dataset.validation), (made.extra["shifted"], dataset.test))
    for after, original in pairs:
        assert after.labels["targets"].tolist() == [int(int(y) in classes) for y in original.labels["targets"]]
        assert torch.equal(after.inputs, original.inputs)
    assert made.extra["outliers"].labels == {}
    assert torch.equal(dataset.train.labels["targets"], before)


def test_as_one_label():
    dataset = classification([7, 5, 4])
    made = one_versus_rest(dataset, generator(), positive=1, encoding="labels")
    assert made.num_outputs == 1 and made.train.labels.keys() == {"labels"}
    labels = made.train.labels["labels"]
    assert labels.dtype == torch.float32 and labels.shape == (16, 1)
    assert labels[:, 0].tolist() == [float(y == 1) for y in dataset.train.labels["targets"]]
    assert made.class_counts.tolist() == [5]


@pytest.mark.parametrize(
    ("rate", "positives", "negatives"),
    [(0.05, 10, 190), (0.2, 48, 190), (0.5, 60, 60), (0.0001, 1, 190)],  # of 60 and 190
)
def test_rate_of_positives(rate, positives, negatives):
    dataset = classification([60, 100, 90])
    made = one_versus_rest(dataset, generator(), positive=0, positive_rate=rate)
    targets = made.train.labels["targets"]
    assert [int(targets.sum()), int((1 - targets).sum())] == [positives, negatives]
    kept = made.train.inputs[:, 0].long()  # input i is the number i
    assert len(kept.unique()) == len(kept)
    assert torch.equal(targets == 1, dataset.train.labels["targets"][kept] == 0)
    again = one_versus_rest(dataset, generator(), positive=0, positive_rate=rate)
    other = one_versus_rest(dataset, generator(1), positive=0, positive_rate=rate)
    assert torch.equal(again.train.inputs, made.train.inputs)
    assert not torch.equal(other.train.inputs, made.train.inputs)


@pytest.mark.parametrize("positive", [4, [0, 1, 2, 3], []])
def test_classes_that_are_not_allowed(positive):
    with pytest.raises(UsageError, match=r"one_versus_rest\.positive"):
        one_versus_rest(classification([3, 3, 3, 3]), generator(), positive=positive)


def test_needs_classes():
    with pytest.raises(UsageError, match="variant=one_versus_rest"):
        one_versus_rest(regression(5), generator())
