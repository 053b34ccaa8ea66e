import torch

from lossbench.reweightings.group_balanced import group_balanced
from tests.losses.support import near, sample


def test_limit():  # groups of one size: every weight is 1
    near(group_balanced(torch.tensor([0, 2, 1, 2]), torch.full((3,), 7.0)), [1.0] * 4)


def test_oracle():  # over a whole training set: the mean of the groups' means
    (losses,) = sample("losses", B=40)
    groups = torch.tensor([0] * 25 + [1] * 12 + [2] * 3)
    weights = group_balanced(groups, torch.tensor([25.0, 12.0, 3.0], dtype=torch.float64))
    near((weights * losses).mean(), sum(losses[groups == g].mean() for g in range(3)) / 3)


def test_hand():  # 10 examples, 8 and 2 of the groups: 10 / (2 * 8) and 10 / (2 * 2)
    near(group_balanced(torch.tensor([[0, 1], [1, 0]]), torch.tensor([8.0, 2.0])), [[0.625, 2.5], [2.5, 0.625]])
