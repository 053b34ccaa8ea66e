import math

import torch
import torch.nn.functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from tests.losses.support import near, same


def test_limit():  # smoothing = 1 forgets the target: the mean over the classes of -log p
    same(cross_entropy, lambda logits: -logits.log_softmax(-1).mean(-1), smoothing=1.0)


def test_oracle():  # torch's own, unreduced, with weights and smoothing
    weights = torch.tensor([0.5, 1.0, 2.0, 0.0, 3.0], dtype=torch.float64)
    same(
        cross_entropy,
        lambda logits, targets: F.cross_entropy(logits, targets, weights, reduction="none", label_smoothing=0.3),
        smoothing=0.3,
        class_weights=weights,
    )


def test_hand():  # p = (1/4, 3/4), smoothing 0.2: 0.8 log(4/3) + 0.1 (log 4 + log(4/3))
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    expected = 0.8 * math.log(4 / 3) + 0.1 * (math.log(4) + math.log(4 / 3))
    near(cross_entropy(logits, torch.tensor([1]), smoothing=0.2), [expected])
