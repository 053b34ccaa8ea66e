import pytest
import torch

from lossbench.datasets.intersectional_bias import intersectional_bias
from tests.datasets.support import generator, splits


def test_fair_one_by_one_and_unfair_together():  # 30,000 draws; 0.015 is 5 standard errors of a half of them
    split = intersectional_bias(generator=generator(), num_examples=50_000, bias=0.6).train
    y, (a, b) = split.labels["targets"].double(), split.labels["attributes"].long().unbind(1)
    for attribute in (a, b):
        for value in (0, 1):
            assert y[attribute == value].mean().item() == pytest.approx(0.5, abs=0.021)
    for group in range(4):
        own = split.labels["groups"] == group
        assert own.double().mean().item() == pytest.approx(0.25, abs=0.0126)
        assert y[own].mean().item() == pytest.approx(0.8 if group in (1, 2) else 0.2, abs=0.024)
    assert torch.equal(split.labels["groups"], 2 * a + b)


def test_the_model_is_the_documented_one():
    split = intersectional_bias(
        generator=generator(), num_examples=50_000, class_distance=1.0, proxy_distance=3.0
    ).train
    y, (a, b) = split.labels["targets"], split.labels["attributes"].long().unbind(1)
    for group in range(4):
        for label in (0, 1):
            own = split.inputs[(2 * a + b == group) & (y == label)]
            merit, of_a, of_b = label - 0.5, 1.5 * (2 * (group // 2) - 1), 1.5 * (2 * (group % 2) - 1)
            assert own.mean(0).tolist() == pytest.approx([merit] * 2 + [of_a] * 2 + [of_b] * 2 + [0] * 2, abs=0.14)
            assert own.std(0).tolist() == pytest.approx([1] * 8, abs=0.1)


def test_splits():
    dataset = intersectional_bias(generator=generator(), num_examples=1000, bias=0.0)
    assert [len(split) for split in splits(dataset)] == [600, 200, 200]
    assert dataset.num_groups == 4 and dataset.group_counts.sum() == 600
