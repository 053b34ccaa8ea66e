import math
import statistics

import torch

from lossbench.advantages.entropy_penalized import entropy_penalized
from lossbench.advantages.group_normalized import group_normalized
from tests.losses.support import near

REWARDS = torch.rand((5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ENTROPIES = 2 * torch.rand((5, 6), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_limit():
    near(entropy_penalized(REWARDS, ENTROPIES, weight=0.0, threshold=None), group_normalized(REWARDS))
    near(entropy_penalized(REWARDS, ENTROPIES, weight=0.3, threshold=9.0), group_normalized(REWARDS) - 0.3 * ENTROPIES)


def test_oracle():  # by loops
    for row, entropies, found in zip(
        REWARDS.tolist(), ENTROPIES.tolist(), entropy_penalized(REWARDS, ENTROPIES, epsilon=0.1), strict=True
    ):
        mean, deviation = statistics.mean(row), statistics.stdev(row)
        expected = [
            (r - mean) / (deviation + 0.1) - 0.1 * h if h <= math.log(2) else 0.0
            for r, h in zip(row, entropies, strict=True)
        ]
        near(found, expected)


def test_hand():  # rewards 1, 0, 0, 0: 1.5 and -0.5; entropies 0.5, 0.6, 0.7 (beyond log 2), 0.1
    found = entropy_penalized(torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[0.5, 0.6, 0.7, 0.1]]), epsilon=1e-9)
    near(found, [[1.45, -0.56, 0.0, -0.51]], 1e-6)
