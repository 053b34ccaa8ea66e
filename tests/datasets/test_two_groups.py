import math

import pytest
import torch

from lossbench.datasets.two_groups import two_groups
from tests.datasets.support import generator, splits


def large(**hyperparameters):
    return two_groups(generator=generator(), num_examples=50_000, **hyperparameters)


def test_the_model_is_the_documented_one():  # means of 30,000 draws, within 5 standard errors or so
    split = large(minority=0.3, prevalences=(0.6, 0.2), class_distance=3.0, proxy_distance=2.0, angle=90.0).train
    y, s, x = split.labels["targets"], split.labels["groups"], split.inputs
    assert s.double().mean().item() == pytest.approx(0.3, abs=0.014)
    expected = {0: (0.6, (1.5, 0.0)), 1: (0.2, (0.0, 1.5))}
    for group, (prevalence, positive) in expected.items():
        assert y[s == group].double().mean().item() == pytest.approx(prevalence, abs=0.025)
        for label, sign in ((1, 1), (0, -1)):
            own = x[(s == group) & (y == label)]
            merits = [sign * p for p in positive]
            proxy = 2 * group - 1
            assert own.mean(0).tolist() == pytest.approx([*merits, proxy, proxy, 0, 0, 0, 0], abs=0.12)
            assert own.std(0).tolist() == pytest.approx([1] * 8, abs=0.09)
    assert torch.equal(split.labels["attributes"], s[:, None].float())


def test_given_the_group_the_proxies_say_nothing_of_the_class():
    split = large(proxy_distance=4.0).train
    for group in (0, 1):
        own = split.labels["groups"] == group
        proxies, y = split.inputs[own, 2:4], split.labels["targets"][own]
        difference = proxies[y == 1].mean(0) - proxies[y == 0].mean(0)
        assert difference.abs().max() < 5 * math.sqrt(2 / (y == 1).sum())


def test_splits():
    dataset = two_groups(generator=generator(), num_examples=1000)
    assert [len(split) for split in splits(dataset)] == [600, 200, 200]
    assert dataset.num_groups == 2 and dataset.group_counts.sum() == 600


def test_the_counterfactual_has_the_other_proxies_and_all_else():
    split = large(proxy_distance=3.0).train
    other, s = split.labels["counterfactual_inputs"], split.labels["groups"]
    assert torch.equal(other[:, :2], split.inputs[:, :2]) and torch.equal(other[:, 4:], split.inputs[:, 4:])
    torch.testing.assert_close(other[:, 2:4] - split.inputs[:, 2:4], (3.0 - 6.0 * s)[:, None].expand(-1, 2))
    for group in (0, 1):  # in distribution, the proxies of the other group
        assert other[s == group, 2:4].mean(0).tolist() == pytest.approx([1.5 - 3 * group] * 2, abs=0.06)
