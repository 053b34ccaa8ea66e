import pytest
import torch
from scipy.stats import kstest, truncnorm

from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.variants.instance_dependent_label_noise import _truncated_normal, instance_dependent_label_noise
from tests.datasets.support import generator as dataset_generator
from tests.variants.support import classification, generator, only_train_changes, regression


def test_rates_are_truncated_normal():  # against scipy's distribution function; p below 0.001 has that probability
    for mean, deviation in ((0.2, 0.1), (0.0, 0.1), (0.9, 0.3)):
        found = _truncated_normal(2000, mean, deviation, generator()).numpy()
        expected = truncnorm((0 - mean) / deviation, (1 - mean) / deviation, mean, deviation)
        assert kstest(found, expected.cdf).pvalue > 1e-3


def test_part_of_the_targets_is_wrong():
    dataset = digits(generator=dataset_generator())
    made = only_train_changes(instance_dependent_label_noise, dataset, rate=0.3)
    clean, noisy = made.train.labels["clean_targets"], made.train.labels["targets"]
    assert torch.equal(clean, dataset.train.labels["targets"])
    assert abs((clean != noisy).double().mean().item() - 0.3) < 0.056  # four deviations, sqrt(0.21 / 1079) = 0.014
    assert noisy.min() >= 0 and noisy.max() <= 9


def test_the_wrong_class_follows_the_softmax_of_the_input():  # two inputs, a thousand copies of each, one class
    dataset = classification((2000,), classes=6)
    draws = generator()
    _truncated_normal(2000, 0.5, 0.1, draws)
    directions = torch.randn(20, 6, generator=draws)  # those of class 0 are the first
    # The second input points where the true class scores highest: that must not count.
    copies, x = torch.arange(2000) % 2, torch.stack([torch.randn(20, generator=generator(3)), directions[:, 0] / 2])
    dataset.train.inputs = x[copies]
    made = instance_dependent_label_noise(dataset, generator(), rate=0.5)
    scores = x @ directions
    for which in (0, 1):
        counts = torch.bincount(made.train.labels["targets"][copies == which], minlength=6).double()
        wrong = counts[1:].sum()
        assert abs(wrong - 500) < 64  # q has mean 1/2: four deviations
        expected = wrong * scores[which, 1:].softmax(-1)
        assert ((counts[1:] - expected).abs() < 4 * expected.sqrt() + 1).all()


def test_refused():
    with pytest.raises(UsageError, match="needs targets"):
        instance_dependent_label_noise(regression(9), generator())
