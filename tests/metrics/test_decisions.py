"""Thresholds that are tuned on validation, against a search by loops over scikit-learn's F1."""

import numpy
import pytest
import torch
from sklearn.metrics import f1_score

from lossbench.metrics.decisions import tuned_decisions
from tests.metrics.support import near, random


def sparsemax(row: numpy.ndarray) -> numpy.ndarray:
    low, high = row.max() - 1, row.max()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if numpy.maximum(row - middle, 0).sum() > 1 else (low, middle)
    return numpy.maximum(row - low, 0)


def ways(logits: torch.Tensor) -> list[numpy.ndarray]:
    z = logits.double().numpy()
    powers = numpy.exp(z)
    return [1 / (1 + numpy.exp(-z)), powers / powers.sum(1, keepdims=True), numpy.array([sparsemax(row) for row in z])]


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("seed", range(3))
def test_search(average, seed):
    splits = []
    for split in range(2):
        logits = 2 * random(40, 4, seed=10 * seed + split)
        labels = ((logits + 1.5 * random(40, 4, seed=10 * seed + split + 5)) > 1).double()
        splits += [logits, labels]
    best, expected = -1.0, None
    for tuning, testing in zip(ways(splits[0]), ways(splits[2]), strict=True):
        for step in range(1, 100):
            score = f1_score(splits[1], tuning > step / 100, average=average, zero_division=0)
            if score > best + 1e-12:
                best, expected = score, f1_score(splits[3], testing > step / 100, average=average, zero_division=0)
    near(tuned_decisions(*splits)[f"tuned_{average}_f1"], expected)


def test_scores_for_a_softmax_are_as_good_as_those_for_a_sigmoid():  # shifted by a number for each example
    labels = (torch.rand(60, 4, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    labels[:, 0] = 1 - labels[:, 1]  # two labels each, so that their share is 1/2
    labels[:, 2] = 1 - labels[:, 3]
    logits = 5 * labels + 50 * random(60, 1)
    found = tuned_decisions(logits[:30], labels[:30], logits[30:], labels[30:])
    near(found["tuned_micro_f1"], 1.0)
    plain = f1_score(labels[30:], logits[30:] > 0, average="micro")
    assert plain < 0.8


def test_undefined():
    logits, labels = random(9, 3), torch.ones(9, 3)
    logits[0, 0] = torch.nan
    assert all(v.isnan() for v in tuned_decisions(logits, labels, random(9, 3), labels).values())
