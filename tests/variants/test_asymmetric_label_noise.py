import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.asymmetric_label_noise import asymmetric_label_noise
from tests.variants.support import classification, generator, only_train_changes


def transitions(made, classes):
    """[true class, given class] counts."""
    labels = made.train.labels
    pairs = labels["clean_targets"] * classes + labels["targets"]
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes).tolist()


def test_circular():  # a quarter of each class goes to the next one, the last to the first
    dataset = classification([40, 20, 80])
    made = only_train_changes(asymmetric_label_noise, dataset, rate=0.25)
    assert torch.equal(made.train.labels["clean_targets"], dataset.train.labels["targets"])
    assert transitions(made, 3) == [[30, 10, 0], [0, 15, 5], [20, 0, 60]]


def test_pairs():  # of CIFAR-10: 0, 1, 6, 7, 8 stay clean; cat 3 and dog 5 are exchanged
    dataset = classification([10] * 10)
    pairs = [[9, 1], [2, 0], [4, 7], [3, 5], [5, 3]]
    found = transitions(only_train_changes(asymmetric_label_noise, dataset, rate=0.4, pairs=pairs), 10)
    wrong = {(a, b): found[a][b] for a in range(10) for b in range(10) if a != b and found[a][b]}
    assert wrong == {(9, 1): 4, (2, 0): 4, (4, 7): 4, (3, 5): 4, (5, 3): 4}


@pytest.mark.parametrize("pairs", [[[0, 0]], [[0, 3]], [[0]], [[0, 1], [0, 2]], [[-1, 1]]])
def test_impossible_pairs(pairs):
    with pytest.raises(UsageError, match=r"pairs.*0\.\.2"):
        asymmetric_label_noise(classification([2, 2, 2]), generator(), pairs=pairs)
