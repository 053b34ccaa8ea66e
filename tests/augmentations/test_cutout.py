import pytest
import torch

from lossbench.augmentations.cutout import cutout
from tests.augmentations.support import DEVICES, apply, batch, device_or_skip


def test_every_middle_is_equally_likely():  # size 1: one pixel, 70 places, 100 times each
    given = batch(n=7000)
    removed = apply(cutout, given, size=1)["x"] == 0
    assert removed.all(1).flatten(1).sum(1).eq(1).all()
    counts = removed[:, 0].sum(0)
    assert (counts - 100).abs().max() < 4.5 * (7000 * 1 / 70 * 69 / 70) ** 0.5


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_square_that_is_cut_off_at_the_border(size, device):
    given = batch(device_or_skip(device), n=500)
    x = apply(cutout, given, size=size)["x"]
    # as the authors say: from the middle minus half the side on, size pixels, those beyond the border do not count
    start = {(row, column): (row - size // 2, column - size // 2) for row in range(7) for column in range(10)}
    possible = set()
    for top, left in start.values():
        rows = tuple(i for i in range(top, top + size) if 0 <= i < 7)
        columns = tuple(i for i in range(left, left + size) if 0 <= i < 10)
        possible.add((rows, columns))
    seen = set()
    for image, original in zip(x, given["x"], strict=True):
        removed = (image == 0).all(0)
        assert torch.equal((image == 0).any(0), removed)
        assert torch.equal(image, torch.where(removed, 0, original))
        rows, columns = (tuple(removed.any(axis).nonzero().flatten().tolist()) for axis in (1, 0))
        assert removed.sum() == len(rows) * len(columns) and (rows, columns) in possible
        seen.add((rows, columns))
    assert len(seen) > 0.9 * len(possible)
