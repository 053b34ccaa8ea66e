import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.polyloss import polyloss
from tests.losses.support import near, same


def test_limit():  # epsilon = 0 is cross-entropy
    same(polyloss, cross_entropy, epsilon=0.0)


def test_oracle():  # equation 6, written out over the examples
    def equation(logits, targets):
        p = [row.exp()[y] / row.exp().sum() for row, y in zip(logits, targets, strict=True)]
        return torch.stack([-torch.log(p_i) + 2 * (1 - p_i) for p_i in p])

    same(polyloss, equation, epsilon=2.0)


def test_hand():  # p = 3/4: -log(3/4) + 2 * 1/4
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(polyloss(logits, torch.tensor([1]), epsilon=2.0), [math.log(4 / 3) + 0.5])
