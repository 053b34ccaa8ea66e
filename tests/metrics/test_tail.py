import math

import pytest
import torch

from lossbench.metrics.collect import to_floats
from lossbench.metrics.tail import mean_of_worst, tail_metrics
from tests.metrics.support import random


@pytest.mark.parametrize(("n", "number"), [(1, 1), (99, 1), (100, 1), (101, 2), (700, 7), (1250, 13)])
def test_oracle(n, number):  # the losses sorted, the worst ones averaged
    logits, targets = random(n, 4), torch.arange(n) % 4
    losses = sorted(-row.log_softmax(-1)[target].item() for row, target in zip(logits.double(), targets, strict=True))
    assert to_floats(tail_metrics(logits, targets))["nll_worst_percent"] == pytest.approx(
        sum(losses[-number:]) / number
    )


def test_hand():  # the worst two of five: (4 + 3) / 2
    assert mean_of_worst(torch.tensor([1.0, 4.0, 0.0, 3.0, 2.0]), percent=40).item() == 3.5


def test_broken_model_is_nan():
    assert math.isnan(tail_metrics(torch.tensor([[0.0, torch.inf]]), torch.tensor([1]))["nll_worst_percent"])
