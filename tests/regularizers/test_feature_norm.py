import torch

from lossbench.regularizers.feature_norm import feature_norm
from tests.losses.support import near, same, sample


def test_limit():  # no features, or no weight, no penalty
    near(feature_norm(torch.zeros(3, 4, dtype=torch.float64), weight=2.0), [0.0] * 3)
    same(feature_norm, lambda features: torch.zeros(features.shape[:-1], dtype=torch.float64), weight=0.0)


def test_oracle():  # a loop over the numbers, and its gradient: weight h
    (features,) = sample("features", tokens=True)
    slow = [[0.3 * sum(h * h for h in token) / 2 for token in sequence] for sequence in features.tolist()]
    near(feature_norm(features, weight=0.3), slow)
    gradient = torch.func.grad(lambda h: feature_norm(h, weight=0.3).sum())(features)
    near(gradient, 0.3 * features)


def test_hand():  # 0.1 / 2 * (3^2 + 4^2)
    near(feature_norm(torch.tensor([[3.0, 4.0]], dtype=torch.float64), weight=0.1), [1.25])
