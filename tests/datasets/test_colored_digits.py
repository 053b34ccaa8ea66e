import pytest
import torch

from lossbench.datasets.colored_digits import colored_digits
from lossbench.datasets.digits import digits
from tests.datasets.support import generator, splits


def share(dataset, split):
    """Part of the examples whose colour is that of their class."""
    labels = getattr(dataset, split).labels
    return (labels["groups"] % 2 == labels["targets"]).double().mean().item()


def test_each_split_has_its_correlation():  # within 4 standard deviations of 1078, 359 and 359 draws
    dataset = colored_digits(generator=generator(), correlation=0.9, validation_correlation=0.5, test_correlation=0.2)
    assert share(dataset, "train") == pytest.approx(0.9, abs=0.037)
    assert share(dataset, "validation") == pytest.approx(0.5, abs=0.11)
    assert share(dataset, "test") == pytest.approx(0.2, abs=0.085)


def test_the_digit_is_in_the_channel_of_its_colour():
    grey, dataset = digits(generator=generator()), colored_digits(generator=generator())
    for before, after in zip(splits(grey), splits(dataset), strict=True):
        colours = after.labels["groups"] % 2
        assert torch.equal(after.inputs.sum(1, keepdim=True), before.inputs)
        for image, colour in zip(after.inputs, colours, strict=True):
            assert image[colour].any() and not image[1 - colour].any()


def test_limits():  # always the colour of the class, never, and flipped labels
    grey = digits(generator=generator())
    dataset = colored_digits(generator=generator(), correlation=1.0, test_correlation=0.0, label_noise=0.0)
    assert share(dataset, "train") == 1 and share(dataset, "test") == 0
    assert torch.equal(dataset.train.labels["targets"], (grey.train.labels["targets"] >= 5).long())
    assert torch.equal(dataset.train.labels["groups"] // 2, dataset.train.labels["targets"])
    noisy = colored_digits(generator=generator(), correlation=1.0, label_noise=0.25).train.labels
    flipped = noisy["targets"] != (grey.train.labels["targets"] >= 5).long()
    assert flipped.double().mean().item() == pytest.approx(0.25, abs=0.053)
    assert (noisy["groups"] % 2 == noisy["targets"]).all()  # the colour follows the label that is given
