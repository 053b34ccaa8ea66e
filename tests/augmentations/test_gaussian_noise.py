import pytest
import torch

from lossbench.augmentations.gaussian_noise import gaussian_noise
from tests.augmentations.support import DEVICES, apply, batch, device_or_skip, generator


@pytest.mark.parametrize("device", DEVICES)
def test_independent_normal_noise(device):
    given = batch(device_or_skip(device), n=500)
    noise = (apply(gaussian_noise, given, scale=0.3)["x"] - given["x"]).double().flatten()  # 105,000 numbers
    size = len(noise)
    assert abs(noise.mean()) < 4 * 0.3 / size**0.5
    assert abs(noise.std() - 0.3) < 4 * 0.3 / (2 * size) ** 0.5
    assert abs((noise.abs() < 0.3).double().mean() - 0.6827) < 4 * 0.47 / size**0.5  # normal, not just of that width
    assert abs((noise[1:] * noise[:-1]).mean()) < 4 * 0.09 / size**0.5


def test_limits():
    given = batch()
    assert torch.equal(gaussian_noise(given, generator(), scale=0.0)["x"], given["x"])
    rows = {"x": torch.zeros(4, 13), "ids": torch.arange(4)}
    assert gaussian_noise(rows, generator())["x"].shape == (4, 13)
