import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.datasets.image_folder import image_folder
from lossbench.errors import RunError, UsageError
from lossbench.torchvision import torchvision
from tests.datasets.support import generator, splits


def write_images(folder, counts, size=(8, 8), suffix="png"):
    """counts {class: images}; image i of class c is filled with the colour (10 c, i, 7)."""
    for c, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", size, (10 * c, i, 7)).save(folder / name / f"{i:03}.{suffix}")


def colours(split):
    """(class, number) of each image, read from its colour, beside its target."""
    found = [split.inputs[i][:, 0, 0].tolist() for i in range(len(split))]
    assert all(blue == 7 for _, _, blue in found)
    return [(red // 10, green) for red, green, _ in found], split.labels["targets"].tolist()


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_splits_of_the_folders(tmp_path, validation):
    write_images(tmp_path / "train", {"cat": 5, "dog": 4})
    write_images(tmp_path / validation, {"cat": 2, "dog": 1})
    write_images(tmp_path / "test", {"cat": 1, "dog": 2})
    dataset = image_folder(generator=generator(), path=str(tmp_path), size=8)
    for split, counts in zip(splits(dataset), [(5, 4), (2, 1), (1, 2)], strict=True):
        seen, targets = colours(split)
        assert seen == [(c, i) for c in range(2) for i in range(counts[c])]
        assert targets == [c for c, _ in seen] and split.inputs.dtype == torch.uint8
    assert dataset.class_names == ["cat", "dog"] and dataset.input_shape == (3, 8, 8)
    # red of train: five times 0, four times 10; blue never changes
    torch.testing.assert_close(dataset.mean.flatten(), torch.tensor([40 / 9, (10 + 6) / 9, 7.0]))
    assert dataset.std[2].item() == 1


def test_one_folder_is_split(tmp_path):
    write_images(tmp_path, {"a": 20, "b": 40})
    dataset = image_folder(generator=generator(), path=str(tmp_path), size=8)
    # 10 % of 60, then 10 % of 54
    assert [len(split) for split in splits(dataset)] == [49, 5, 6]
    assert torch.bincount(dataset.test.labels["targets"]).tolist() == [2, 4]
    seen = [pair for split in splits(dataset) for pair in colours(split)[0]]
    assert sorted(seen) == [(0, i) for i in range(20)] + [(1, i) for i in range(40)]
    for split in splits(dataset):
        pairs, targets = colours(split)
        assert [c for c, _ in pairs] == targets


@pytest.mark.parametrize("size", [(24, 12), (12, 20), (12, 12)])
def test_oracle_of_resizing(tmp_path, size):  # torchvision's resize and centre crop, to 6x6, within a rounding
    functional = torchvision().transforms.functional

    (tmp_path / "only").mkdir()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    for i in range(3):
        image.save(tmp_path / "only" / f"{i}.png")
    dataset = image_folder(generator=generator(), path=str(tmp_path), size=6)
    expected = functional.pil_to_tensor(functional.center_crop(functional.resize(image, 6), 6))
    assert (dataset.train.inputs[0].int() - expected.int()).abs().max() <= 1


def test_grey(tmp_path):  # ITU-R 601 luma, as Pillow documents it: 0.299 R + 0.587 G + 0.114 B
    write_images(tmp_path, {"a": 3, "b": 3})
    dataset = image_folder(generator=generator(), path=str(tmp_path), size=4, channels=1)
    assert dataset.input_shape == (1, 4, 4)
    for split in splits(dataset):
        assert (split.inputs == split.inputs[:, :, :1, :1]).all()
    values = torch.cat([split.inputs[:, 0, 0, 0] for split in splits(dataset)]).tolist()
    expected = [round(0.299 * 10 * c + 0.587 * i + 0.114 * 7) for c in range(2) for i in range(3)]
    assert sorted(values) == sorted(expected)


def test_lazy_is_the_same(tmp_path):
    write_images(tmp_path, {"a": 20, "b": 20}, suffix="bmp")
    lazy, eager = (image_folder(generator=generator(), path=str(tmp_path), size=5, in_memory=m) for m in (False, True))
    for one, two in zip(splits(lazy), splits(eager), strict=True):
        assert not isinstance(one.inputs, torch.Tensor) and isinstance(two.inputs, torch.Tensor)
        assert torch.equal(torch.stack([one.inputs[i] for i in range(len(one))]), two.inputs)
        assert torch.equal(one.labels["targets"], two.labels["targets"])
    torch.testing.assert_close(lazy.mean, eager.mean)  # fewer than 1,000: all are read for the estimate
    copy = pickle.loads(pickle.dumps(lazy.train.inputs))  # other processes read them
    assert torch.equal(copy[3], eager.train.inputs[3])


def test_too_large_for_memory_stays_on_disk(tmp_path, monkeypatch):
    write_images(tmp_path, {"a": 10, "b": 10})
    monkeypatch.setattr("lossbench.datasets.images.IN_MEMORY_BELOW", 20 * 3 * 4 * 4 - 1)
    assert not isinstance(image_folder(generator=generator(), path=str(tmp_path), size=4).train.inputs, torch.Tensor)
    monkeypatch.setattr("lossbench.datasets.images.IN_MEMORY_BELOW", 20 * 3 * 4 * 4)
    assert isinstance(image_folder(generator=generator(), path=str(tmp_path), size=4).train.inputs, torch.Tensor)


def test_errors(tmp_path):
    with pytest.raises(UsageError, match=rf"no images in {tmp_path}/nowhere.*dataset.path"):
        image_folder(generator=generator(), path=str(tmp_path / "nowhere"))
    write_images(tmp_path / "train", {"a": 3, "b": 3})
    write_images(tmp_path / "test", {"a": 3, "c": 3})
    with pytest.raises(UsageError, match=r"other classes than train: b, c"):
        image_folder(generator=generator(), path=str(tmp_path))
    damaged = tmp_path / "train" / "a" / "001.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.raises(RunError, match=r"001.png"):
        image_folder(generator=generator(), path=str(tmp_path / "train"), size=8)
