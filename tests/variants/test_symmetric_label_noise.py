import pytest
import torch

from lossbench.datasets.digits import digits
from lossbench.variants.long_tailed import long_tailed
from lossbench.variants.symmetric_label_noise import symmetric_label_noise
from tests.variants.support import classification, generator, only_train_changes


@pytest.mark.parametrize("rate", [0.25, 0.4, 1.0])
def test_exact_rate(rate):
    dataset = classification([300, 100, 200])
    made = only_train_changes(symmetric_label_noise, dataset, rate=rate)
    labels = made.train.labels
    assert torch.equal(labels["clean_targets"], dataset.train.labels["targets"])
    assert torch.equal(made.train.inputs, dataset.train.inputs)
    assert (labels["targets"] != labels["clean_targets"]).sum() == round(rate * 600)
    assert labels["targets"].min() >= 0 and labels["targets"].max() < 3


def test_rate_0_changes_nothing():
    dataset = classification([3, 3])
    made = symmetric_label_noise(dataset, generator(), rate=0.0)
    assert torch.equal(made.train.labels["targets"], dataset.train.labels["targets"])


def test_every_other_class_is_equally_likely():  # rate 1, 12,000 of each of 4 classes: each other class 4,000
    labels = symmetric_label_noise(classification([12_000] * 4), generator(), rate=1.0).train.labels
    counts = torch.bincount(labels["clean_targets"] * 4 + labels["targets"], minlength=16).reshape(4, 4)
    assert (counts.diagonal() == 0).all()
    others = counts[~torch.eye(4, dtype=torch.bool)]
    assert (others - 4000).abs().max() < 4 * (12_000 * 1 / 3 * 2 / 3) ** 0.5  # four standard deviations


def test_clean_targets_survive_a_second_variant():
    dataset = digits(generator=generator())
    noisy = symmetric_label_noise(dataset, generator(), rate=0.3)
    both = long_tailed(symmetric_label_noise(noisy, generator(1), rate=0.3), generator(), imbalance_factor=10.0)
    original = zip(dataset.train.inputs, dataset.train.labels["targets"], strict=True)
    clean = {image.numpy().tobytes(): int(target) for image, target in original}
    for image, target in zip(both.train.inputs, both.train.labels["clean_targets"], strict=True):
        assert clean[image.numpy().tobytes()] == int(target)
    assert "clean_targets" not in both.test.labels and "clean_targets" not in both.validation.labels
