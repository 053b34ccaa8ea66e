import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.dllp import dllp
from lossbench.ops import one_hot
from tests.losses.support import near, sample


def test_limit():  # bags of one member: the proportions are its class
    logits, targets = sample("logits", "targets")
    near(dllp(logits.unsqueeze(1), one_hot(targets, 5, torch.float64)), cross_entropy(logits, targets))


def test_oracle():  # the definition, bag by bag
    logits, proportions = sample("bag_logits", "proportions")
    expected = []
    for bag, alpha in zip(logits, proportions, strict=True):
        mean = sum(member.exp() / member.exp().sum() for member in bag) / 10
        expected.append(-sum(alpha[c] * mean[c].log() for c in range(5)))
    near(dllp(logits, proportions), torch.stack(expected))


def test_hand():  # members that say (1/4, 3/4) and (1/2, 1/2): q = (3/8, 5/8), alpha = (1/2, 1/2)
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0]]], dtype=torch.float64)
    near(dllp(logits, torch.tensor([[0.5, 0.5]]).double()), [-(math.log(3 / 8) + math.log(5 / 8)) / 2])


def test_smallest():  # at the proportions themselves it is their entropy, whichever member says which class
    logits = torch.tensor([[[60.0, 0.0], [0.0, 60.0], [60.0, 0.0]]], dtype=torch.float64)
    near(dllp(logits, torch.tensor([[2 / 3, 1 / 3]], dtype=torch.float64)), [math.log(3) - 2 / 3 * math.log(2)])
