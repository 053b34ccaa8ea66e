from dataclasses import replace

import pytest
import torch

from lossbench.datasets.dataset import Split
from lossbench.errors import UsageError
from lossbench.variants.shifted_test import shifted_test
from tests.variants.support import classification, generator


def rows(n=4000, std=None, dtype=torch.float32, **facts):
    base = classification([n // 2, n // 2])
    inputs = (100 + torch.arange(3 * n) % 7).reshape(n, 3).to(dtype)
    test = Split(inputs, {"targets": torch.arange(n) % 2})
    return replace(base, test=test, std=std, extra={"other": test}, **facts)


def test_noise_has_the_size():  # of each feature, in units of its deviation
    dataset = rows(std=torch.tensor([1.0, 10.0, 4.0]))
    made = shifted_test(dataset, generator(), severity=0.5)
    noise = made.extra["shifted"].inputs - dataset.test.inputs
    torch.testing.assert_close(noise.std(0), torch.tensor([0.5, 5.0, 2.0]), rtol=0.05, atol=0)
    assert noise.mean(0).abs().max() < 0.3
    torch.testing.assert_close(
        shifted_test(rows(), generator()).extra["shifted"].inputs.std(), torch.tensor(2.06), rtol=0.05, atol=0
    )


def test_the_rest_stays():
    dataset = rows()
    before = dataset.test.inputs.clone()
    made = shifted_test(dataset, generator())
    assert made.train is dataset.train and made.validation is dataset.validation and made.test is dataset.test
    assert torch.equal(made.test.inputs, before) and set(dataset.extra) == {"other"}
    assert set(made.extra) == {"other", "shifted"}
    assert torch.equal(made.extra["shifted"].labels["targets"], dataset.test.labels["targets"])
    again, other = (shifted_test(dataset, generator(seed)).extra["shifted"].inputs for seed in (0, 1))
    assert torch.equal(again, made.extra["shifted"].inputs) and not torch.equal(other, again)
    assert torch.equal(shifted_test(dataset, generator(), severity=0.0).extra["shifted"].inputs, before)


def test_range():
    bytes_ = shifted_test(rows(dtype=torch.uint8, std=torch.tensor(200.0)), generator(), severity=2.0).extra["shifted"]
    assert bytes_.inputs.min() == 0 and bytes_.inputs.max() == 255
    limited = shifted_test(rows(value_range=(99.0, 103.0)), generator(), severity=2.0).extra["shifted"].inputs
    assert limited.min() == 99 and limited.max() == 103


def test_lazy_inputs():
    dataset = rows(40)
    lazy = replace(dataset, test=Split([torch.zeros(3)] * 40, dataset.test.labels))
    with pytest.raises(UsageError, match="shifted_test"):
        shifted_test(lazy, generator())
