import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.class_pair import class_pair
from tests.variants.support import classification, generator


def test_examples_of_the_two_classes_keep_their_inputs():
    dataset = classification((4, 5, 6))
    made = class_pair(dataset, generator(), first=2, second=0)
    targets = dataset.train.labels["targets"]
    kept = [i for i in range(15) if targets[i] != 1]
    assert made.train.inputs[:, 0].tolist() == kept
    assert made.train.labels["targets"].tolist() == [int(targets[i] == 0) for i in kept]
    assert made.num_outputs == 2 and made.class_counts.tolist() == [6, 4]
    for split, before in ((made.validation, dataset.validation), (made.test, dataset.test)):
        assert split.labels["targets"].tolist() == [int(t == 0) for t in before.labels["targets"] if t != 1]
    assert torch.equal(targets, classification((4, 5, 6)).train.labels["targets"])  # the given one is as it was


@pytest.mark.parametrize(("first", "second"), [(1, 1), (0, 3)])
def test_refused(first, second):
    with pytest.raises(UsageError, match=r"two different classes in 0\.\.2"):
        class_pair(classification((4, 5, 6)), generator(), first=first, second=second)
