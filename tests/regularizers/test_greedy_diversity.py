import math

import torch

from lossbench.regularizers.greedy_diversity import greedy_diversity
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # scale = 0: log M. A single member: -scale d. A member that equals the model: at least log 1
    own, frozen = sample("spread_logits", "frozen_spread_logits")
    near(greedy_diversity(own, frozen, scale=0.0), math.log(frozen.shape[1]))
    distance = (own.softmax(-1) - frozen[:, 0].softmax(-1)).square().sum(-1).mean()
    near(greedy_diversity(own, frozen[:, :1], scale=2.0), -2 * distance)
    near(greedy_diversity(own, own.unsqueeze(1), scale=7.0), 0.0)


def test_oracle():  # members, examples and classes one by one
    own, frozen = sample("spread_logits", "frozen_spread_logits")
    p, q = own.softmax(-1).tolist(), frozen.softmax(-1).tolist()
    total = 0.0
    for j in range(len(q[0])):
        distance = sum((p[i][c] - q[i][j][c]) ** 2 for i in range(6) for c in range(5)) / 6
        total += math.exp(-3 * distance)
    near(greedy_diversity(own, frozen, scale=3.0), math.log(total))


def test_hand():  # p = (1, 0), members (0, 1) and (1/2, 1/2): distances 2 and 1/2
    own = torch.tensor([[800.0, 0.0]], dtype=torch.float64)
    frozen = torch.tensor([[[0.0, 800.0], [0.0, 0.0]]], dtype=torch.float64)
    near(greedy_diversity(own, frozen, scale=1.0), math.log(math.exp(-2) + math.exp(-0.5)))


def test_pushes_away():  # a step against the gradient makes the distance to the nearest member grow
    own, frozen = sample("spread_logits", "frozen_spread_logits")
    own = (frozen[:, 0] + 0.1 * own).requires_grad_()

    def distance(logits):
        return (logits.softmax(-1) - frozen[:, 0].softmax(-1)).square().sum(-1).mean()

    (gradient,) = torch.autograd.grad(greedy_diversity(own, frozen, scale=50.0), own)
    assert distance(own - gradient) > distance(own)


def test_extreme():
    own = torch.tensor([[2e4, 0.0]])
    near(extreme(greedy_diversity, own, torch.tensor([[[0.0, 2e4]]]), scale=1.0)[0][0], -2.0)


def test_stacked():
    stacked(greedy_diversity, scale=[0.0, 1.0, 5.0])
