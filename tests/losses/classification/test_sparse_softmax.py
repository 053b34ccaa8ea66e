import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.sparse_softmax import sparse_softmax
from tests.losses.support import near, same


def test_limit():  # k = C is cross-entropy, and so is a larger k
    for k in (5, 10):
        same(sparse_softmax, lambda logits, targets: cross_entropy(logits, targets), k=k)


def test_oracle():  # the equation by a loop
    def equation(logits, targets):
        losses = []
        for row, y in zip(logits, targets, strict=True):
            kept = sorted(row.tolist(), reverse=True)[:3]
            losses.append(math.log(sum(map(math.exp, kept))) - float(row[y]))
        return torch.tensor(losses, dtype=torch.float64)

    same(sparse_softmax, equation, k=3)


def test_hand():  # the two largest are log 3 and 0: 1 + 3 = 4; for the class that is left out, -log 1/4 + log 1
    logits = torch.tensor([[0.0, math.log(3), -1.0]] * 2, dtype=torch.float64)
    near(sparse_softmax(logits, torch.tensor([1, 2]), k=2), [math.log(4 / 3), math.log(4) + 1])


def test_gradient():  # the probabilities among the largest, minus 1 at the target, and nothing anywhere else
    logits = torch.tensor([[0.0, math.log(3), -1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    for target, expected in ((1, [1 / 4, 3 / 4 - 1, 0, 0]), (2, [1 / 4, 3 / 4, -1, 0])):
        (found,) = torch.autograd.grad(sparse_softmax(logits, torch.tensor([target]), k=2).sum(), logits)
        near(found, [expected])
