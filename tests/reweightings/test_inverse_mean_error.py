import numpy as np
import torch
from torch.nn import functional as F

from lossbench.reweightings.inverse_mean_error import inverse_mean_error
from tests.losses.support import near, sample


def test_limit():  # where all is wrong for sure, nothing is reweighted; at logits of 0 a step is gamma mean(y a)
    targets = torch.tensor([0, 1, 1])
    near(inverse_mean_error(50.0 * F.one_hot(1 - targets).double(), targets), torch.ones(3))
    near(inverse_mean_error(torch.zeros(3, 2, dtype=torch.float64), targets), [2.0] * 3)


def test_oracle():  # one minus the probability of the target, over the examples
    logits, targets = sample("logits", "targets")
    p = [float(torch.softmax(z, -1)[t]) for z, t in zip(logits, targets, strict=True)]
    near(inverse_mean_error(logits, targets), [1 / (1 - sum(p) / len(p))] * 6)


def test_hand():  # p = 3/4 and 1/4: the mean error is 1/2
    logits = torch.tensor([[0.0, np.log(3)], [0.0, np.log(3)]], dtype=torch.float64)
    near(inverse_mean_error(logits, torch.tensor([1, 0])), [2.0, 2.0])


def descend(a, y, gamma, steps, normalized):
    """theta of (Normalized) LR+GD in numpy, from 0: the paper's equations in the margins."""
    theta = np.zeros(a.shape[1])
    for _ in range(steps):
        s = 1 / (1 + np.exp(y * (a @ theta)))
        beta = 1 / s.mean() if normalized else 1.0
        theta = theta + gamma * beta * (s * y) @ a / len(y)
    return theta


def test_is_normalized_logistic_regression():
    """Gradient descent on the weighted cross-entropy of two logits (0, a theta) against the paper's update."""
    generator = np.random.default_rng(0)
    a = generator.normal(size=(30, 3))
    y = np.sign(a @ np.array([1.0, -2.0, 0.5]))
    features, targets = torch.from_numpy(a), torch.from_numpy((y > 0).astype(int))
    for normalized in (True, False):
        theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        for _ in range(20):
            logits = torch.stack([torch.zeros(30, dtype=torch.float64), features @ theta], -1)
            weight = inverse_mean_error(logits, targets).detach() if normalized else torch.ones(30)
            loss = (weight * F.cross_entropy(logits, targets, reduction="none")).mean()
            (gradient,) = torch.autograd.grad(loss, theta)
            theta = (theta - 0.5 * gradient).detach().requires_grad_()
        near(theta.detach(), descend(a, y, 0.5, 20, normalized), 1e-9)


def test_worst_case_of_the_paper():
    """Theorem 5.1: one example (1/2, -1) of one class, 99 of (-1/2, -1) of the other. With gamma = 100 the table has 2
    steps for the normalized method, and hundreds without."""
    a = np.array([[0.5, -1.0]] + [[-0.5, -1.0]] * 99)
    y = np.array([1.0] + [-1.0] * 99)

    def steps_needed(normalized):
        return next(k for k in range(2000) if (y * (a @ descend(a, y, 100.0, k, normalized)) > 0).all())

    assert steps_needed(True) == 2 and steps_needed(False) > 20


def test_no_error_left():  # finite, and without effect on a gradient that is 0
    logits = torch.tensor([[200.0, 0.0]])
    assert inverse_mean_error(logits, torch.tensor([0])).isfinite().all()
