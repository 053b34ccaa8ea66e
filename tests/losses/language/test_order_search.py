import math

import torch
from torch.nn import functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.order_search import order_search
from tests.losses.support import near, sample


def test_limit():  # in the given order it is cross-entropy
    logits, targets = sample("ordered_logits", "ordered_targets", tokens=True)
    near(order_search(logits, targets), cross_entropy(logits, targets))


def test_oracle():  # torch's
    logits, targets = sample("ordered_logits", "ordered_targets", tokens=True)
    near(order_search(logits, targets), F.cross_entropy(logits.mT, targets, reduction="none"))


def test_hand():  # the second of two elements has three quarters
    logits = torch.tensor([[[0.0, 0.0], [0.0, math.log(3)]]], dtype=torch.float64)
    near(order_search(logits, torch.tensor([[0, 1]])), [[math.log(2), math.log(4 / 3)]])
