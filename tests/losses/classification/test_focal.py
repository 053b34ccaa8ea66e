import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.focal import focal
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # gamma = 0 is cross-entropy
    same(focal, cross_entropy, gamma=0.0)


def test_oracle():  # equation 5, written out over the examples
    alpha = torch.tensor([0.5, 1.0, 2.0, 0.0, 3.0], dtype=torch.float64)

    def equation(logits, targets):
        p = torch.stack([row.exp()[y] / row.exp().sum() for row, y in zip(logits, targets, strict=True)])
        return -torch.stack([alpha[y] for y in targets]) * (1 - p) ** 1.5 * torch.log(p)

    same(focal, equation, gamma=1.5, alpha=alpha)


def test_hand():  # p = 3/4, gamma = 2, alpha = 5 for class 1: 5 * (1/4)^2 * log(4/3)
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    alpha = torch.tensor([7.0, 5.0], dtype=torch.float64)
    near(focal(logits, torch.tensor([1]), gamma=2.0, alpha=alpha), [5 / 16 * math.log(4 / 3)])


def test_tokens():  # [B, T] is [B * T]
    logits, targets, alpha = sample("logits", "targets", "class_counts", tokens=True)
    flat = focal(logits.flatten(0, 1), targets.flatten(), alpha=alpha)
    near(focal(logits, targets, alpha=alpha), flat.view(targets.shape))


def test_gradient():  # of -(1 - p)^gamma log p: (1 - p)^gamma (gamma p log p + p - 1) for the true class's score
    for gamma in (0.0, 0.5, 1.0, 3.0):
        for margin in (-30.0, -1.0, 0.0, 2.0, 14.0):  # float32; at 14, 1 - p is 8e-7, about 14 roundings of p
            logits = torch.tensor([[0.0, margin]], requires_grad=True)
            focal(logits, torch.tensor([1]), gamma=gamma).sum().backward()
            p, q = 1 / (1 + math.exp(-margin)), 1 / (1 + math.exp(margin))
            near(logits.grad[0, 1], q**gamma * (gamma * p * math.log(p) - q), 3e-2 * q + 1e-6)


def test_extreme():  # wrong by 4e4: loss 4e4, gradient -1; right: 0 and 0, for gamma < 1 too
    logits, targets = torch.tensor([[-2e4, 2e4]]), torch.tensor([0])
    for gamma in (0.0, 0.5, 2.0):
        values, gradients = extreme(focal, logits, targets, gamma=gamma)
        near(values[0], [4e4])
        near(gradients[0], [[-1, 1]])
        values, gradients = extreme(focal, -logits, targets, gamma=gamma)
        near(values[0], [0])
        near(gradients[0], [[0, 0]])


def test_stacked():
    stacked(focal, gamma=[0.0, 0.5, 2.0])
