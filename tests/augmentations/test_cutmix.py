import pytest
import torch

from lossbench.augmentations.cutmix import cutmix
from tests.augmentations.support import DEVICES, apply, batch, device_or_skip, generator, partner_of


def boxes(made, given, partner):
    """[B, height, width], where each image shows its partner; every other pixel is checked to be its own."""
    x, own, other = made["x"], given["x"], given["x"][partner]
    from_own, from_other = (x == own).all(1), (x == other).all(1)
    assert (from_own | from_other).all()
    return from_other & ~from_own


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_weight_is_the_share_of_the_partners_pixels(alpha, device):
    given = batch(device_or_skip(device), n=200)
    made = apply(cutmix, given, alpha=alpha)
    partner = partner_of(made, given)
    box = boxes(made, given, partner)
    moved = partner != torch.arange(200, device=partner.device)  # an example may be its own partner
    torch.testing.assert_close(made["partner_weight"][moved], box.flatten(1).float().mean(1)[moved])
    filled = box.any(2).sum(1) * box.any(1).sum(1)  # rows times columns: the pixels form one full rectangle
    assert torch.equal(filled, box.flatten(1).sum(1))
    for axis in (1, 2):
        line = box.any(axis).int()
        assert (line.diff(dim=1, prepend=torch.zeros_like(line[:, :1])) == 1).sum(1).max() == 1  # without a gap


def test_area_of_a_box_that_is_not_cut_off():  # b ~ Beta(1, 1): mean area 1/2 before it is cut off and rounded
    # By hand, for large images: sides r = sqrt(b) of the image's, the middle uniform. Of a side r and a middle m, the
    # part within [0, 1] has the mean r - r^2 / 4, so the mean area is E (r - r^2/4)^2 = E r^2 - r^3/2 + r^4/16
    # = 1/2 - 1/2 * 2/5 + 1/16 * 1/3 = 0.3208, as E r^k = 2 / (k + 2) for b = r^2 uniform.
    given = {"x": torch.zeros((2000, 1, 100, 100), dtype=torch.uint8)}
    weight = cutmix(given, generator())["partner_weight"]
    assert abs(weight.mean() - 0.3208) < 0.015 and weight.dtype == torch.float32


def test_probability():
    given = batch(n=1000)
    made = apply(cutmix, given, probability=0.4, alpha=5.0)
    weight = made["partner_weight"]
    assert abs(int((weight > 0).sum()) - 400) < 4 * (1000 * 0.4 * 0.6) ** 0.5
    assert torch.equal(made["x"][weight == 0], given["x"][weight == 0])
    assert torch.equal(cutmix(given, generator(), probability=0.0)["x"], given["x"])
