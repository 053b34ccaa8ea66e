import pytest
import torch

from lossbench.errors import UsageError
from lossbench.source import Source
from lossbench.variants.random_bags import random_bags
from tests.variants.support import classification, generator, only_train_changes, regression


def test_members_and_their_proportions():  # input i is the number i, so that every member can be told
    dataset = classification((9, 5, 9))
    made = only_train_changes(random_bags, dataset, size=4)
    members = made.train.inputs[..., 0].long()
    assert members.shape == (5, 4) and len(members.unique()) == 20  # 23 examples: three are left out
    targets = dataset.train.labels["targets"]
    for bag, proportions in zip(members, made.train.labels["proportions"], strict=True):
        for c in range(3):
            assert proportions[c] == sum(targets[i] == c for i in bag) / 4
    assert set(made.train.labels) == {"proportions"}


def test_bags_of_rows_and_single_rows_are_standardised_alike():
    dataset = classification((9, 5, 9))
    dataset.mean, dataset.std = torch.tensor([3.0]), torch.tensor([2.0])
    dataset.train.inputs = torch.cat([dataset.train.inputs] * 3, 1)
    dataset.validation.inputs = dataset.test.inputs = torch.tensor([[3.0, 5.0, 7.0]]).expand(6, 3)
    dataset.mean, dataset.std = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0])
    made = random_bags(dataset, generator(), size=4)
    source = Source(made, batch_size=5, evaluation_batch_size=6, device=torch.device("cpu"), seed=0)
    (single,) = source.evaluation("validation")
    assert single["x"][0].tolist() == [2.0, 1.5, 1.0]
    bags = source.examples(torch.arange(5))["x"]
    assert torch.equal(bags, (made.train.inputs - dataset.mean) / dataset.std)


def test_refused():
    with pytest.raises(UsageError, match="needs targets"):
        random_bags(regression(9), generator())
    with pytest.raises(UsageError, match="only 6 training examples"):
        random_bags(classification((3, 3)), generator(), size=7)
