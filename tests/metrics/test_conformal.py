import math

import torch
from sklearn.metrics import mean_pinball_loss

from lossbench.metrics.conformal import threshold_metrics
from tests.metrics.support import near, random, reference


def test_oracle():  # loops, and scikit-learn's pinball loss
    thresholds, scores = random(50), random(50, seed=1).abs()
    actual = threshold_metrics(thresholds, scores, level=0.8)
    covered = sum(s <= h for s, h in zip(scores.tolist(), thresholds.tolist(), strict=True)) / 50
    near(actual["coverage"], covered)
    near(actual["coverage_gap"], abs(covered - 0.8))
    near(actual["mean_threshold"], sum(thresholds.tolist()) / 50)
    near(actual["pinball"], reference(mean_pinball_loss, scores.double(), thresholds.double(), alpha=0.8))


def test_hand():  # a tie is covered; 2 of 4, levels above and below
    thresholds, scores = torch.tensor([1.0, 1, 1, 1]), torch.tensor([1.0, 2, 0, 3])
    for level, gap in ((0.9, 0.4), (0.25, 0.25)):
        actual = threshold_metrics(thresholds, scores, level=level)
        near(actual["coverage"], 0.5)
        near(actual["coverage_gap"], gap)
        near(actual["pinball"], (level * 3 + (1 - level)) / 4)


def test_not_finite():
    broken = torch.tensor([1.0, math.nan])
    assert all(math.isnan(v) for v in threshold_metrics(broken, torch.ones(2), level=0.9).values())
    assert all(math.isnan(v) for v in threshold_metrics(torch.ones(2), broken, level=0.9).values())
    assert all(math.isnan(v) for v in threshold_metrics(torch.ones(0), torch.ones(0), level=0.9).values())
