import pytest
import torch

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.outlier_noise import outlier_noise
from tests.variants.support import generator


def images(dtype=torch.float32, value_range=None):
    train = Split((40 + 20 * torch.randn(50, 1, 8, 8, generator=generator(3))).clamp(0, 255).to(dtype), {})
    return Dataset(train, train, Split(train.inputs[:30], {}), 10, value_range=value_range)


def test_gaussian_has_the_mean_and_deviation_of_the_training_inputs():
    dataset = images()
    made = outlier_noise(dataset, generator(), number=500).extra["outliers"]
    assert made.inputs.shape == (500, 1, 8, 8) and made.labels == {}
    expected = dataset.train.inputs
    assert abs(made.inputs.mean() - expected.mean()) < 0.5 and abs(made.inputs.std() / expected.std() - 1) < 0.02
    neighbours = torch.corrcoef(torch.stack([made.inputs[..., :-1].flatten(), made.inputs[..., 1:].flatten()]))
    assert abs(neighbours[0, 1]) < 0.03


def test_uniform_fills_the_range():
    inputs = outlier_noise(images(value_range=(0.0, 100.0)), generator(), kind="uniform", number=500).extra["outliers"]
    assert inputs.inputs.min() >= 0 and inputs.inputs.max() <= 100
    assert abs(inputs.inputs.mean() - 50) < 1 and abs(inputs.inputs.var() / (100**2 / 12) - 1) < 0.03
    dataset = images()
    without = outlier_noise(dataset, generator(), kind="uniform").extra["outliers"].inputs
    assert without.min() >= dataset.train.inputs.min() and without.max() <= dataset.train.inputs.max()


def test_bytes_stay_bytes_and_only_the_outliers_are_new():
    dataset = images(torch.uint8)
    made = outlier_noise(dataset, generator())
    assert made.extra["outliers"].inputs.dtype == torch.uint8
    assert len(made.extra["outliers"]) == 30  # as many as test has
    assert made.train is dataset.train and made.validation is dataset.validation and made.test is dataset.test


def test_the_generator_decides():
    first, again, other = (outlier_noise(images(), generator(s)).extra["outliers"].inputs for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_lazy_inputs_are_refused():
    dataset = images()
    dataset.train = Split([torch.zeros(1, 8, 8)] * 3, {})
    with pytest.raises(UsageError, match="in_memory"):
        outlier_noise(dataset, generator())
