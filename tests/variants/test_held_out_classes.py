import pytest
import torch

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.held_out_classes import held_out_classes
from tests.variants.support import generator, regression


def numbered(classes=5, each=4):
    """Splits in which input i is the number i and its class i mod 5; no number is in two splits."""

    def split(start):
        inputs = torch.arange(start, start + classes * each).float().unsqueeze(1)
        return Split(inputs, {"targets": inputs[:, 0].long() % classes, "groups": inputs[:, 0].long() % 2})

    return Dataset(split(0), split(100), split(200), classes, class_names=list("abcde"))


def test_no_example_of_a_held_out_class_is_left():
    dataset = numbered()
    made = held_out_classes(dataset, generator(), classes=[3, 1])
    for name in ("train", "validation", "test"):
        split = getattr(made, name)
        old = split.inputs[:, 0].long() % 5
        assert sorted(old.unique().tolist()) == [0, 2, 4] and len(split) == 12
        assert torch.equal(split.labels["targets"], torch.tensor([0, -1, 1, -1, 2])[old])  # in their order, from 0
        assert torch.equal(split.labels["groups"], split.inputs[:, 0].long() % 2)
    assert made.num_outputs == 3 and made.class_names == ["a", "c", "e"]
    assert len(dataset.train) == 20 and dataset.num_outputs == 5


def test_outliers_are_the_test_examples_of_the_held_out_classes():
    outliers = held_out_classes(numbered(), generator(), classes=[3, 1]).extra["outliers"]
    assert outliers.inputs[:, 0].tolist() == [201, 203, 206, 208, 211, 213, 216, 218]
    assert outliers.labels == {}


def test_after_label_noise():
    dataset = numbered()
    dataset.train.labels["clean_targets"] = dataset.train.labels["targets"]
    made = held_out_classes(dataset, generator(), classes=[0])
    assert torch.equal(made.train.labels["clean_targets"], made.train.labels["targets"])


def test_refused():
    with pytest.raises(UsageError, match=r"classes=\[5\].*0\.\.4"):
        held_out_classes(numbered(), generator(), classes=[5])
    with pytest.raises(UsageError, match="at least two"):
        held_out_classes(numbered(), generator(), classes=[0, 1, 2, 3])
    with pytest.raises(UsageError, match="it needs targets"):
        held_out_classes(regression(5), generator(), classes=[0])
    with pytest.raises(UsageError, match="one variant for outliers"):
        held_out_classes(held_out_classes(numbered(), generator(), classes=[0]), generator(), classes=[0])
