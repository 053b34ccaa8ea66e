import math

import torch

from lossbench.regularizers.concatenated_distance_covariance import concatenated_distance_covariance
from lossbench.regularizers.distance_covariance import distance_covariance
from tests.losses.support import near, sample
from tests.regularizers.test_distance_covariance import biased


def test_limit():  # of one attribute it is the distance covariance; predictions that do not vary depend on nothing
    logits, attributes = sample("logits", "attributes")
    for unbiased in (True, False):
        one = attributes[:, :1]
        near(
            concatenated_distance_covariance(logits, one, weight=0.7, unbiased=unbiased),
            distance_covariance(logits, one, weight=0.7, unbiased=unbiased),
        )
        near(concatenated_distance_covariance(torch.ones_like(logits), attributes, unbiased=unbiased), 0.0)


def test_oracle():
    logits, attributes = sample("logits", "attributes", A=3)
    for used in (logits, logits[:, :2]):
        p = used.softmax(-1)[:, 1:] if used.shape[1] == 2 else used.softmax(-1)
        expected = 0.5 * biased(p.tolist(), attributes.tolist())
        near(concatenated_distance_covariance(used, attributes, weight=0.5, unbiased=False), expected)


def test_hand():
    """p = a xor b, 0.2 or 0.8, once for each (a, b). Distances of p are 0.6 to the two neighbours and 0 to the opposite
    corner, centred -0.3, 0.3, 0.3, -0.3; those of (a, b) are 1, 1 and sqrt 2: with their mean m = (2 + sqrt 2) / 4,
    centred -m, 1 - m, 1 - m, sqrt(2) - m. The mean product is 0.3 (m + 2 (1 - m) - (sqrt(2) - m)) / 4."""
    attributes = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    p = 0.2 + 0.6 * (attributes[:, 0] != attributes[:, 1]).double()
    logits = torch.stack([torch.zeros(4, dtype=torch.float64), p.logit()], 1)
    expected = 0.3 * (2 - math.sqrt(2)) / 4
    near(concatenated_distance_covariance(logits, attributes, unbiased=False), expected)
    assert distance_covariance(logits, attributes, unbiased=False).abs() < 1e-12  # one by one, nothing is seen
