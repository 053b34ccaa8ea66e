import math

import torch
from sklearn.metrics.pairwise import cosine_similarity

from lossbench.regularizers.orthogonal_projection import orthogonal_projection
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # classes collapsed onto orthogonal directions cost nothing, whatever their lengths; weight 0 neither
    features = torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    near(orthogonal_projection(features, torch.tensor([0, 0, 1, 1])), 0)
    features, targets = sample("features", "targets")
    near(orthogonal_projection(features, targets, weight=0.0), 0)


def test_oracle():  # scikit-learn's cosines, the pairs written out
    features, targets = sample("features", "targets", B=9)
    cosines, same, other = cosine_similarity(features), [], []
    for i in range(9):
        for j in range(9):
            if i != j:
                (same if targets[i] == targets[j] else other).append(cosines[i, j])
    expected = 1 - sum(same) / len(same) + 2 * sum(map(abs, other)) / len(other)
    near(orthogonal_projection(features, targets, weight=0.3, gamma=2.0), 0.3 * expected)


def test_hand():  # a class at 60 degrees (s = 1/2), the other class at 90 to the first and 150 to the second
    angles = torch.tensor([0, math.pi / 3, -math.pi / 2], dtype=torch.float64)
    features = torch.stack([angles.cos(), angles.sin()], -1)
    expected = 2 * (1 / 2 + 0.5 * (0 + math.sqrt(3) / 2) / 2)
    near(orthogonal_projection(features, torch.tensor([0, 0, 1]), weight=2.0, gamma=0.5), expected)


def test_no_pairs():  # all of one class, and all of different ones: the mean over no pairs is 0
    features, _ = sample("features", "targets")
    cosines = cosine_similarity(features)
    off = [cosines[i, j] for i in range(6) for j in range(6) if i != j]
    near(orthogonal_projection(features, torch.zeros(6, dtype=torch.long)), 1 - sum(off) / 30)
    near(orthogonal_projection(features, torch.arange(6)), 1 + 0.5 * sum(map(abs, off)) / 30)


def test_extreme():  # long features as short ones; features that are 0: 1, without gradient
    targets = torch.tensor([0, 0, 1])
    values, _ = extreme(orthogonal_projection, 2e4 * torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, -1.0]]), targets)
    near(values[0], 0, 1e-6)
    values, gradients = extreme(orthogonal_projection, torch.zeros(3, 2), targets)
    near(values[0], 1)
    near(gradients[0], [[0, 0]] * 3)


def test_stacked():
    stacked(orthogonal_projection, weight=[0.0, 0.1, 1.0], gamma=[0.0, 0.5, 2.0])
