import math

import torch

from lossbench.regularizers.demographic_parity import demographic_parity
from tests.losses.support import near, sample


def test_limit():  # equal predictions, one group, or weight 0: no penalty
    logits, groups, counts = sample("logits", "groups", "group_counts")
    near(demographic_parity(torch.ones_like(logits), groups, counts), 0.0)
    near(demographic_parity(logits, torch.ones_like(groups), counts), 0.0)
    near(demographic_parity(logits, groups, counts, weight=0.0), 0.0)


def test_oracle():  # numpy's variance over the groups that are there, of their means
    logits, groups, counts = sample("logits", "groups", "group_counts", B=20, G=4)
    groups = groups.clamp(max=2)  # one group is missing
    means = torch.stack([logits.softmax(-1)[groups == g].mean(0) for g in groups.unique()])
    near(demographic_parity(logits, groups, counts, weight=3.0), 3 * means.numpy().var(0).sum())


def test_hand():  # p = 1/4, 3/4 in group 0 and 3/4 in group 1: means 1/2 and 3/4, weight / 2 (1/4)^2
    logits = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)], [0.0, math.log(3)]], dtype=torch.float64)
    near(demographic_parity(logits, torch.tensor([0, 0, 1]), torch.tensor([5.0, 2.0]), weight=4.0), 2 / 16)
