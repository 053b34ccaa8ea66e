import math

import pytest
import torch
from scipy import ndimage

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.rotation import rotated
from lossbench.errors import UsageError
from lossbench.variants.corruptions import CORRUPTIONS, corruptions
from tests.variants.support import generator, regression

EVERY = list(CORRUPTIONS)


def images(dtype=torch.float32, value_range=(0.0, 16.0), side=8, n=200):
    inputs = 16 * torch.rand(n, 2, side, side, generator=generator(5))
    split = Split(inputs.to(dtype), {"targets": torch.arange(n) % 3})
    return Dataset(split, split, split, 3, value_range=value_range)


def test_a_split_for_each_kind_and_severity():
    dataset = images()
    made = corruptions(dataset, generator(), kinds=["contrast", "blur"], severities=[5, 1])
    names = ["corrupted_contrast_1", "corrupted_contrast_5", "corrupted_blur_1", "corrupted_blur_5"]
    assert list(made.extra) == names
    assert all(torch.equal(split.labels["targets"], dataset.test.labels["targets"]) for split in made.extra.values())
    assert made.train is dataset.train and made.validation is dataset.validation and made.test is dataset.test


@pytest.mark.parametrize("kind", EVERY)
def test_severity_is_damage_within_the_range(kind):
    dataset = images()
    made = corruptions(dataset, generator(), kinds=[kind])
    damage = [float((split.inputs - dataset.test.inputs).square().mean()) for split in made.extra.values()]
    if kind != "rotation":  # of white noise, every rotation is as bad
        assert damage == sorted(damage) and damage[0] < 0.9 * damage[-1]
    assert damage[0] > 0
    assert all(split.inputs.min() >= 0 and split.inputs.max() <= 16 for split in made.extra.values())


def test_seeded():
    first, again, other = (corruptions(images(), generator(s), kinds=["gaussian_noise"]).extra for s in (0, 0, 1))
    for name in first:
        assert torch.equal(first[name].inputs, again[name].inputs)
        assert not torch.equal(first[name].inputs, other[name].inputs)
    chosen = corruptions(images(), generator(0), kinds=["impulse_noise", "gaussian_noise"], severities=[4])
    name = "corrupted_gaussian_noise_4"
    assert torch.equal(chosen.extra[name].inputs, first[name].inputs)


def test_noise_has_the_stated_size():
    half = torch.full((400, 1, 8, 8), 0.5)
    for level, deviation in enumerate((0.08, 0.12, 0.18)):
        noise = CORRUPTIONS["gaussian_noise"](half, level, generator()) - half
        assert abs(noise.std() / deviation - 1) < 0.02 and abs(noise.mean()) < 0.01
    for level, share in enumerate((0.03, 0.06, 0.09, 0.17, 0.27)):
        hit = CORRUPTIONS["impulse_noise"](half, level, generator())
        assert abs((hit != 0.5).float().mean() - share) < 0.01
        assert abs((hit[hit != 0.5]).mean() - 0.5) < 0.03 and set(hit.unique().tolist()) == {0.0, 0.5, 1.0}


def test_contrast_and_brightness_by_hand():  # mean 0.5: 0.5 + 0.1 * (0 - 0.5), 0.5 + 0.1 * (1 - 0.5)
    image = torch.tensor([[[[0.0, 1.0]], [[0.2, 0.4]]]])
    torch.testing.assert_close(
        CORRUPTIONS["contrast"](image, 3, generator()), torch.tensor([[[[0.45, 0.55]], [[0.29, 0.31]]]])
    )
    torch.testing.assert_close(CORRUPTIONS["brightness"](image, 2, generator()), image + 0.3)
    row = torch.tensor([[0.0, 0.5, 1.0]])
    torch.testing.assert_close(CORRUPTIONS["contrast"](row, 3, generator()), torch.tensor([[0.45, 0.5, 0.55]]))


def test_blur_is_scipys():  # replicated borders; deviation 6 % of the side
    x = torch.rand(3, 2, 20, 30, generator=generator())
    expected = ndimage.gaussian_filter(x.numpy(), (0, 0, 0.06 * 20, 0.06 * 30), mode="nearest", radius=(0, 0, 5, 8))
    torch.testing.assert_close(CORRUPTIONS["blur"](x, 1, generator()), torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_rotation_is_torchs_and_scipys():
    x = torch.rand(3, 2, 9, 9, generator=generator())
    torch.testing.assert_close(rotated(x, 90.0), torch.rot90(x, 1, (-2, -1)), atol=1e-5, rtol=0)
    expected = ndimage.rotate(x[0, 0].numpy(), 30.0, reshape=False, order=1, mode="grid-constant", cval=0.0)
    torch.testing.assert_close(rotated(x, 30.0)[0, 0], torch.from_numpy(expected), atol=1e-4, rtol=0)
    wide = torch.rand(1, 1, 6, 12, generator=generator())  # no square: angles stay right
    expected = ndimage.rotate(wide[0, 0].numpy(), 30.0, reshape=False, order=1, mode="grid-constant", cval=0.0)
    torch.testing.assert_close(rotated(wide, 30.0)[0, 0], torch.from_numpy(expected), atol=1e-4, rtol=0)
    assert math.isclose(float(rotated(x, 0.0).sub(x).abs().max()), 0, abs_tol=1e-6)


def test_bytes_and_rows():
    made = corruptions(images(torch.uint8, None), generator(), kinds=EVERY, severities=[2])
    assert all(split.inputs.dtype == torch.uint8 for split in made.extra.values())
    rows = corruptions(regression(6), generator(), kinds=["gaussian_noise", "contrast"], severities=[1])
    assert rows.extra["corrupted_contrast_1"].inputs.max() <= 5  # the range of the training inputs
    with pytest.raises(UsageError, match="blur is for images"):
        corruptions(regression(6), generator())
