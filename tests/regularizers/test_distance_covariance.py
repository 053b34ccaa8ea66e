import math

import torch

from lossbench.regularizers.distance_covariance import distance_covariance
from tests.losses.support import near, sample


def biased(u, v):
    """dCov^2 from the definition, in loops."""
    n = range(len(u))
    a, b = ([[math.dist(x, y) for y in points] for x in points] for points in (u, v))
    mean_a, mean_b = sum(map(sum, a)) / len(u) ** 2, sum(map(sum, b)) / len(u) ** 2
    total = 0.0
    for i in n:
        for j in n:
            left = a[i][j] - sum(a[i]) / len(u) - sum(a[k][j] for k in n) / len(u) + mean_a
            right = b[i][j] - sum(b[i]) / len(u) - sum(b[k][j] for k in n) / len(u) + mean_b
            total += left * right
    return total / len(u) ** 2


def test_limit():  # predictions that do not vary depend on nothing; weight 0 is no penalty
    logits, attributes = sample("logits", "attributes")
    for unbiased in (True, False):
        near(distance_covariance(torch.zeros_like(logits), attributes, unbiased=unbiased), 0.0)
        near(distance_covariance(logits, attributes, weight=0.0, unbiased=unbiased), 0.0)


def test_oracle():
    logits, attributes = sample("logits", "attributes", A=3)
    for used in (logits, logits[:, :2]):
        p = used.softmax(-1)[:, 1:] if used.shape[1] == 2 else used.softmax(-1)
        expected = sum(biased(p.tolist(), [[s] for s in column.tolist()]) for column in attributes.unbind(1))
        near(distance_covariance(used, attributes, weight=2.0, unbiased=False), 2 * expected)


def test_hand():  # p = (1/4, 3/4), attributes 0, 1: distances 1/2 and 1, centred to +-1/4 and +-1/2
    logits = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]], dtype=torch.float64)
    attributes = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    near(distance_covariance(logits, attributes, weight=3.0, unbiased=False), 3 / 8)


def test_blind_to_intersections():  # predictions that are a xor b: 0 for each attribute
    attributes = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 2, dtype=torch.float64)
    p = 0.2 + 0.6 * (attributes[:, 0] != attributes[:, 1]).double()
    logits = torch.stack([torch.zeros(8, dtype=torch.float64), p.logit()], 1)
    near(distance_covariance(logits, attributes, unbiased=False), 0.0)
