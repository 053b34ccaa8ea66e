import math

import pytest
import torch

from lossbench.datasets.two_sources import two_sources
from tests.datasets.support import generator, splits


def test_sizes():
    dataset = two_sources(generator=generator(), num_first=50, num_second=20, dimensions=3)
    sources = [torch.bincount(split.labels["groups"]).tolist() for split in splits(dataset)]
    assert sources == [[50, 20], [25, 25], [50, 50]]
    assert dataset.input_shape == (3,) and dataset.num_outputs == 2 and dataset.mean is None


@pytest.mark.parametrize("shift", [1.0, 0.0])
def test_the_rule_is_the_documented_one(shift):  # by the distance along the diagonal, within 5 standard errors
    split = two_sources(generator=generator(), num_first=100_000, num_second=100_000, shift=shift).train
    x, y, s = split.inputs, split.labels["targets"], split.labels["groups"]
    for source in (0, 1):
        own = s == source
        mean = (2 * source - 1) * shift
        assert x[own].mean(0).tolist() == pytest.approx([mean] * 16, abs=0.02)
        assert x[own].std(0).tolist() == pytest.approx([1] * 16, abs=0.02)
        z = (x[own] - mean).sum(1) / 4
        for place in (-2.0, 0.0, 1.0):
            near = (z - place).abs() < 0.1
            expected = 1 / (1 + math.exp(-1 - place))
            assert (y[own][near] == source).double().mean().item() == pytest.approx(expected, abs=0.04)
