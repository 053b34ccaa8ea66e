import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.dual_focal import dual_focal
from lossbench.losses.classification.focal import focal
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # gamma = 0 is cross-entropy; without a class below the true one it is focal
    same(dual_focal, cross_entropy, gamma=0.0)
    logits, _ = sample("logits", "targets")
    least = logits.argmin(-1)
    near(dual_focal(logits, least, gamma=1.5), focal(logits, least, gamma=1.5))


def test_oracle():  # the formula, written out over the examples
    def formula(logits, targets):
        losses = []
        for row, y in zip(logits.tolist(), targets.tolist(), strict=True):
            p = [math.exp(score) / sum(map(math.exp, row)) for score in row]
            q = max([p_c for p_c in p if p_c < p[y]], default=0.0)
            losses.append(-((1 - p[y] + q) ** 2.5) * math.log(p[y]))
        return torch.tensor(losses, dtype=torch.float64)

    same(dual_focal, formula, gamma=2.5)


def test_hand():  # p = (1/2, 1/3, 1/6), gamma 2: (1 - 1/2 + 1/3)^2 log 2, (1 - 1/3 + 1/6)^2 log 3, (1 - 1/6)^2 log 6
    logits = torch.tensor([[3.0, 2.0, 1.0]], dtype=torch.float64).log().expand(3, 3)
    expected = [25 / 36 * math.log(2), 25 / 36 * math.log(3), 25 / 36 * math.log(6)]
    near(dual_focal(logits, torch.arange(3), gamma=2.0), expected)


def test_ties():  # a class as likely as the true one is not below it: p = (2/5, 2/5, 1/5), 1 - 2/5 + 1/5
    logits = torch.tensor([[2.0, 2.0, 1.0]], dtype=torch.float64).log()
    near(dual_focal(logits, torch.tensor([0]), gamma=1.0), [4 / 5 * math.log(5 / 2)])


def test_gradient():  # through q too: finite differences agree
    logits, targets = sample("logits", "targets")
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda scores: dual_focal(scores, targets, gamma=1.5), logits)


def test_extreme():  # wrong by 4e4: loss 4e4, gradient -1; right: 0 and 0, for gamma < 1 too
    logits, targets = torch.tensor([[-2e4, 2e4]]), torch.tensor([0])
    for gamma in (0.0, 0.5, 5.0):
        values, gradients = extreme(dual_focal, logits, targets, gamma=gamma)
        near(values[0], [4e4])
        near(gradients[0], [[-1, 1]])
        values, gradients = extreme(dual_focal, -logits, targets, gamma=gamma)
        near(values[0], [0])
        near(gradients[0], [[0, 0]])


def test_stacked():
    stacked(dual_focal, gamma=[0.0, 0.5, 5.0])
