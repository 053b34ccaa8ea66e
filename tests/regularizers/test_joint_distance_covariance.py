import itertools
import math

import torch

from lossbench.dependence import squared_distance_covariance
from lossbench.regularizers.distance_covariance import distance_covariance
from lossbench.regularizers.joint_distance_covariance import joint_distance_covariance
from tests.losses.support import near, sample


def centred(points, unbiased):
    """Minus the centred distances, in loops."""
    n, a = len(points), [[math.dist(x, y) for y in points] for x in points]
    sums, total = [sum(row) for row in a], sum(map(sum, a))
    if not unbiased:
        return [[(sums[i] + sums[j]) / n - a[i][j] - total / n**2 for j in range(n)] for i in range(n)]
    inner = (n - 1) * (n - 2)
    return [
        [0.0 if i == j else (sums[i] + sums[j]) / (n - 2) - a[i][j] - total / inner for j in range(n)] for i in range(n)
    ]


def test_limit():  # of one attribute it is the distance covariance, whatever the balance
    logits, attributes = sample("logits", "attributes")
    for unbiased, balance in itertools.product((True, False), (0.5, 1.0, 3.0)):
        near(
            joint_distance_covariance(logits, attributes[:, :1], weight=0.7, balance=balance, unbiased=unbiased),
            distance_covariance(logits, attributes[:, :1], weight=0.7, unbiased=unbiased),
        )


def test_oracle():  # with two attributes: balance times the three pairs, plus the triple
    logits, attributes = sample("logits", "attributes", A=2)
    variables = [logits.softmax(-1), attributes[:, :1], attributes[:, 1:]]
    for unbiased in (True, False):
        pairs = sum(squared_distance_covariance(u, v, unbiased) for u, v in itertools.combinations(variables, 2))
        tables = [centred(v.tolist(), unbiased) for v in variables]
        triple = sum(tables[0][i][j] * tables[1][i][j] * tables[2][i][j] for i in range(6) for j in range(6))
        triple /= 6 * 3 if unbiased else 6**2
        found = joint_distance_covariance(logits, attributes, weight=2.0, balance=1.5, unbiased=unbiased)
        near(found, 2 * (1.5 * pairs + triple))


def test_hand():
    """p = a xor b, 0.2 or 0.8, once for each (a, b): no pair depends. U_p is 0.3 with itself and the opposite corner
    and -0.3 with the neighbours; U_a is 1/2 with itself and where a is the same, -1/2 otherwise, and so is U_b. The
    mean product over the four corners is 0.3 / 4 (1/4 + 1/4 + 1/4 + 1/4): every sign is +."""
    attributes = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    p = 0.2 + 0.6 * (attributes[:, 0] != attributes[:, 1]).double()
    logits = torch.stack([torch.zeros(4, dtype=torch.float64), p.logit()], 1)
    near(joint_distance_covariance(logits, attributes, unbiased=False), 0.3 / 4)
