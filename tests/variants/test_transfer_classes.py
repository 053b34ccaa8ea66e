import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.transfer_classes import transfer_classes
from tests.variants.support import generator
from tests.variants.test_held_out_classes import numbered


def test_every_example_is_with_its_class():
    dataset = numbered()
    made = transfer_classes(dataset, generator(), classes=[3, 1])
    for name, place in (("train", [0, -1, 1, -1, 2]), ("validation", [0, -1, 1, -1, 2]), ("test", [0, -1, 1, -1, 2])):
        split = getattr(made, name)
        old = split.inputs[:, 0].long() % 5
        assert sorted(old.unique().tolist()) == [0, 2, 4] and len(split) == 12
        assert torch.equal(split.labels["targets"], torch.tensor(place)[old])
    for name, whole in (("transfer_train", dataset.train), ("transfer_test", dataset.test)):
        split = made.extra[name]
        old = split.inputs[:, 0].long() % 5
        assert len(split) == 8 and set(split.labels) == {"groups", "transfer_targets"}
        assert torch.equal(
            split.labels["transfer_targets"], (old == 3).long()
        )  # 1 is the first of the two, 3 the second
        assert set(split.inputs[:, 0].tolist()) < set(whole.inputs[:, 0].tolist())
    assert made.num_outputs == 3 and made.class_names == ["a", "c", "e"]
    assert len(dataset.train) == 20 and dataset.num_outputs == 5


@pytest.mark.parametrize("classes", [[0, 5], [0, 1, 2, 3], [2, 2]])
def test_refused(classes):
    with pytest.raises(UsageError, match="two or more of the classes"):
        transfer_classes(numbered(), generator(), classes=classes)
