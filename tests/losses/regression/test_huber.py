import torch
import torch.nn.functional as F

from lossbench.losses.regression.huber import huber
from lossbench.losses.regression.mean_absolute_error import mean_absolute_error
from lossbench.losses.regression.mean_squared_error import mean_squared_error
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # a delta above every difference: half the squared error; delta -> 0: delta times the absolute one
    same(huber, lambda a, b: mean_squared_error(a, b) / 2, delta=100.0)
    same(huber, lambda a, b: 1e-8 * mean_absolute_error(a, b), 1e-15, delta=1e-8)


def test_oracle():  # torch's own
    for delta in (0.3, 1.0, 2.0):
        same(huber, lambda a, b, d=delta: F.huber_loss(a, b, reduction="none", delta=d).mean(-1), delta=delta)


def test_hand():  # differences 1 and -3, delta 2: (1/2 + 2 (3 - 1)) / 2
    near(huber(torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 4.0]]), delta=2.0), [2.25])


def test_gradient():  # the difference, cut off at delta
    predictions, targets = sample("predictions", "regression_targets")
    predictions.requires_grad_()
    huber(predictions, targets, delta=0.7).sum().backward()
    near(predictions.grad, (predictions.detach() - targets).clamp(-0.7, 0.7) / 3)


def test_extreme():  # linear far out, also where the square would be inf: delta (r - delta / 2), gradient +-delta
    for r in (2e4, 1e30):
        for sign in (1, -1):
            values, gradients = extreme(huber, torch.tensor([[sign * r]]), torch.zeros(1, 1), delta=2.0)
            near(values[0], [2 * (r - 1)], 1e-6)
            near(gradients[0], [[2 * sign]])


def test_stacked():
    stacked(huber, delta=[0.1, 1.0, 3.0])
