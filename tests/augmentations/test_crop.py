import numpy as np
import pytest
import torch

from lossbench.augmentations.crop import crop
from lossbench.errors import UsageError
from tests.augmentations.support import DEVICES, apply, batch, device_or_skip, generator


def windows(image, padding, fill):
    """Every window of a padded image by its corner, with numpy's padding."""
    _, height, width = image.shape
    mode = {"reflect": "reflect", "zero": "constant"}[fill]
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode=mode)
    corners = [(top, left) for top in range(2 * padding + 1) for left in range(2 * padding + 1)]
    return {corner: padded[:, corner[0] : corner[0] + height, corner[1] : corner[1] + width] for corner in corners}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("fill", ["reflect", "zero"])
def test_each_image_is_a_window_and_all_corners_are_equally_likely(fill, device):
    given = batch(device_or_skip(device), n=900)
    x = apply(crop, given, padding=1, fill=fill)["x"].cpu().numpy()
    corners = []
    for image, original in zip(x, given["x"].cpu().numpy(), strict=True):
        found = [corner for corner, window in windows(original, 1, fill).items() if np.array_equal(window, image)]
        assert len(found) == 1
        corners += found
    counts = [corners.count((top, left)) for top in range(3) for left in range(3)]
    assert max(abs(count - 100) for count in counts) < 4 * (900 * 1 / 9 * 8 / 9) ** 0.5


def test_no_padding_changes_nothing():
    given = batch()
    assert torch.equal(crop(given, generator(), padding=0)["x"], given["x"])


def test_more_padding_than_can_be_mirrored():
    with pytest.raises(UsageError, match=r"augmentation.crop.padding=7: images of 10x7 .*below 7"):
        crop(batch(), generator(), padding=7)
    assert crop(batch(), generator(), padding=7, fill="zero")["x"].shape == (64, 3, 7, 10)
