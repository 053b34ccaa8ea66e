import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from lossbench.metrics.collect import to_floats
from lossbench.metrics.precision_recall import precision_recall_metrics
from tests.metrics.support import random


def problem(seed=0, n=500, prevalence=0.1):
    draws = np.random.default_rng(seed)
    targets = (draws.random(n) < prevalence).astype(int)
    return draws.normal(size=n) + 1.5 * targets, targets


@pytest.mark.parametrize("decimals", [8, 0])
def test_oracle(decimals):  # scikit-learn, without ties and with many
    scores, targets = problem()
    scores = scores.round(decimals)
    logits = torch.stack([torch.zeros(500), torch.tensor(scores)], 1)
    found = to_floats(precision_recall_metrics(logits, torch.tensor(targets)))
    assert found == {"average_precision": pytest.approx(average_precision_score(targets, scores))}


def test_limits():
    logits = random(6, 2)
    assert math.isnan(
        to_floats(precision_recall_metrics(logits, torch.zeros(6, dtype=torch.long)))["average_precision"]
    )
    assert to_floats(precision_recall_metrics(logits, torch.ones(6, dtype=torch.long))) == {"average_precision": 1.0}
    assert precision_recall_metrics(random(6, 3), torch.zeros(6, dtype=torch.long)) == {}
    broken = torch.full((6, 2), torch.nan)
    assert math.isnan(to_floats(precision_recall_metrics(broken, torch.arange(6) % 2))["average_precision"])


def test_the_two_areas_differ_by_the_firing_rate():
    """McDermott et al. 2024, theorem 1, on a sample: 1 - AUROC is the mean false positive rate at the positives,
    1 - average precision the part of the negatives times the mean of that rate over the part scoring as high."""
    scores, targets = problem(seed=1)
    negatives = scores[targets == 0]
    at = scores[targets == 1]
    false_positive_rate = np.array([(negatives >= t).mean() for t in at])
    firing_rate = np.array([(scores >= t).mean() for t in at])
    assert 1 - false_positive_rate.mean() == pytest.approx(roc_auc_score(targets, scores))
    found = to_floats(
        precision_recall_metrics(torch.stack([torch.zeros(500), torch.tensor(scores)], 1), torch.tensor(targets))
    )
    part = (targets == 0).mean()
    assert 1 - part * (false_positive_rate / firing_rate).mean() == pytest.approx(found["average_precision"])
