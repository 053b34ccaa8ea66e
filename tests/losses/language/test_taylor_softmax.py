import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.taylor_softmax import taylor_softmax
from tests.losses.support import near, same, sample


def test_limit():  # near 0 the expansion is exp, up to the third power
    logits, targets = sample("logits", "targets")
    near(taylor_softmax(1e-4 * logits, targets), cross_entropy(1e-4 * logits, targets), 1e-11)


def test_oracle():  # the formula over the classes
    def loop(logits, targets):
        terms = [[1 + o + o * o / 2 for o in row] for row in logits.tolist()]
        return torch.tensor([-math.log(t[y] / sum(t)) for t, y in zip(terms, targets.tolist(), strict=True)])

    same(taylor_softmax, loop, 1e-6)


def test_hand():  # (2, 0, -1): 1 + 2 + 2 = 5, 1, 1 - 1 + 1/2 = 1/2
    logits = torch.tensor([[2.0, 0, -1]], dtype=torch.float64)
    near(taylor_softmax(logits, torch.tensor([2])), [-math.log(0.5 / 6.5)])


def test_extremes():  # the square of a large score would overflow in float32
    logits = torch.tensor([[1e30, 1e30, 0.0]], requires_grad=True)
    value = taylor_softmax(logits, torch.tensor([0]))
    near(value, [math.log(2)], 1e-6)
    assert torch.autograd.grad(value.sum(), logits)[0].isfinite().all()
