import pytest
import torch

from lossbench.augmentations.flip import flip
from lossbench.errors import UsageError
from tests.augmentations.support import DEVICES, apply, batch, device_or_skip, generator


@pytest.mark.parametrize("device", DEVICES)
def test_each_image_or_its_mirror(device):
    given = batch(device_or_skip(device), n=1000)
    x = apply(flip, given, probability=0.3)["x"]
    mirror = given["x"][:, :, :, list(range(9, -1, -1))]
    same, mirrored = ((x == image).flatten(1).all(1) for image in (given["x"], mirror))
    assert (same ^ mirrored).all()
    assert abs(int(mirrored.sum()) - 300) < 4 * (1000 * 0.3 * 0.7) ** 0.5  # four standard deviations


def test_limits():
    given = batch()
    assert torch.equal(flip(given, generator(), probability=0.0)["x"], given["x"])
    assert torch.equal(flip(given, generator(), probability=1.0)["x"].flip(-1), given["x"])


def test_rows_are_refused():
    with pytest.raises(UsageError, match="augmentation=flip: it needs images"):
        flip({"x": torch.zeros(4, 13)}, generator())
