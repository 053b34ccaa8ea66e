import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.subset import subset
from tests.variants.support import classification, generator, only_train_changes, regression, still_together


def test_fraction_is_stratified():
    dataset = classification([100, 50, 30])
    made = only_train_changes(subset, dataset, fraction=0.1)
    assert torch.bincount(made.train.labels["targets"]).tolist() == [10, 5, 3]
    still_together(made, dataset)


@pytest.mark.parametrize("number", [1, 7, 59, 60])
def test_number_is_exact(number):
    dataset = classification([30, 20, 10])
    made = subset(dataset, generator(), number=number)
    assert len(made.train) == number
    shares = torch.bincount(made.train.labels["targets"], minlength=3) - number * torch.tensor([1 / 2, 1 / 3, 1 / 6])
    assert shares.abs().max() < 1


def test_regression():
    made = only_train_changes(subset, regression(200), fraction=0.25)
    assert len(made.train) == len(made.train.inputs.unique()) == 50


def test_at_least_one_and_at_most_all():
    assert len(subset(classification([3, 2]), generator(), fraction=0.01).train) == 1
    with pytest.raises(UsageError, match=r"number=6.*1\.\.5"):
        subset(classification([3, 2]), generator(), number=6)
