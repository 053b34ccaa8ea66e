import math

import torch

from lossbench.losses.classification.exponential import exponential
from tests.losses.support import extreme, near, same


def test_limit():  # no lead costs one, a large one nothing
    near(exponential(torch.zeros(2, 3), torch.tensor([0, 2])), [1, 1])
    near(exponential(torch.tensor([[2e4, 0.0]]), torch.tensor([0])), [0])


def test_oracle():  # the definition, example by example
    def definition(logits, targets):
        rows = zip(logits, targets, strict=True)
        return torch.stack([(max(z for c, z in enumerate(row) if c != y) - row[y]).exp() for row, y in rows])

    same(exponential, definition)


def test_hand():  # 1 against log 4 + 1: 4
    near(exponential(torch.tensor([[1.0, math.log(4) + 1]]).double(), torch.tensor([0])), [4], 1e-7)


def test_extreme():  # beyond a lead of -50, the tangent there: e^50 (1 + 10), slope e^50
    values, gradients = extreme(exponential, torch.tensor([[0.0, 60.0]]), torch.tensor([0]))
    near(values[0] / math.exp(50), [11], 1e-5)
    near(gradients[0] / math.exp(50), [[-1, 1]], 1e-5)
