import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.sampled_cross_entropy import sampled_cross_entropy
from tests.losses.support import near, sample


def test_limit():  # one draw, or draws that are all alike, is cross-entropy
    logits, targets = sample("logits", "targets")
    near(sampled_cross_entropy(logits.unsqueeze(1), targets), cross_entropy(logits, targets))
    near(sampled_cross_entropy(logits.unsqueeze(1).expand(-1, 7, -1), targets), cross_entropy(logits, targets))


def test_oracle():  # the definition, draw by draw
    logits, targets = sample("sampled_logits", "targets")
    expected = [
        sum(-(d.exp()[y] / d.exp().sum()).log() for d in row) / 12 for row, y in zip(logits, targets, strict=True)
    ]
    near(sampled_cross_entropy(logits, targets), torch.stack(expected))


def test_hand():  # p = 3/4 and 1/2 under two draws: the mean of log(4/3) and log 2, not the log of the mean
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0]]], dtype=torch.float64)
    near(sampled_cross_entropy(logits, torch.tensor([1])), [(math.log(4 / 3) + math.log(2)) / 2])
