import io
import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from lossbench.datasets.hf_image import hf_image
from lossbench.errors import RunError, UsageError
from tests.datasets.support import generator, splits


@pytest.fixture(autouse=True)
def offline(tmp_path_factory, monkeypatch):
    """A cache of its own for every test, and no attempt to reach the hub."""
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def picture(value, size=(6, 4)):
    return Image.new("RGB", size, (value, 0, 255 - value))


def write(path, values, labels, features=None, **columns):
    """A parquet file as the package writes it; picture i is filled with values[i]."""
    import datasets

    rows = {"image": [picture(v) for v in values], "label": labels, **columns}
    features = {"image": datasets.Image(), **(features or {"label": datasets.ClassLabel(names=["no", "yes"])})}
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=datasets.Features(features)).to_parquet(path)


def seen(split):
    return [int(split.inputs[i][0, 0, 0]) for i in range(len(split))]


def test_parquet_with_all_splits(tmp_path):
    for name, values in {"train": range(0, 20), "validation": range(20, 25), "test": range(25, 31)}.items():
        write(tmp_path / f"{name}.parquet", values, [v % 2 for v in values])
    dataset = hf_image(generator=generator(), path=str(tmp_path))
    assert dataset.input_shape == (3, 4, 6) and dataset.class_names == ["no", "yes"]
    for split, values in zip(splits(dataset), (range(0, 20), range(20, 25), range(25, 31)), strict=True):
        assert seen(split) == list(values)
        assert split.labels["targets"].tolist() == [v % 2 for v in values]
        assert (split.inputs[:, 2] == 255 - split.inputs[:, 0]).all() and split.inputs.dtype == torch.uint8
    np.testing.assert_allclose(dataset.mean.flatten(), [9.5, 0, 245.5], rtol=1e-6)


def test_parquet_without_splits_and_lazily(tmp_path):
    write(tmp_path / "all.parquet", range(100), [v // 80 for v in range(100)])
    lazy, eager = (hf_image(generator=generator(), path=str(tmp_path), in_memory=m) for m in (False, True))
    assert [len(split) for split in splits(eager)] == [81, 9, 10]  # 10 % of 100, then of 90
    assert torch.bincount(eager.test.labels["targets"]).tolist() == [8, 2]
    assert sorted(v for split in splits(eager) for v in seen(split)) == list(range(100))
    for one, two in zip(splits(lazy), splits(eager), strict=True):
        assert not isinstance(one.inputs, torch.Tensor)
        assert seen(one) == seen(two)
        assert one.labels["targets"].tolist() == [v // 80 for v in seen(one)]
    assert torch.equal(pickle.loads(pickle.dumps(lazy.train.inputs))[4], eager.train.inputs[4])


def test_parquet_of_another_tool(tmp_path):  # no schema of the package: bytes and path, labels as texts
    import pyarrow
    import pyarrow.parquet

    def png(value):
        buffer = io.BytesIO()
        picture(value).save(buffer, "png")
        return {"bytes": buffer.getvalue(), "path": None}

    table = pyarrow.table({"img": [png(v) for v in range(20)], "label": [("b", "a")[v % 2] for v in range(20)]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    dataset = hf_image(generator=generator(), path=str(tmp_path))
    assert dataset.class_names == ["a", "b"]
    for split in splits(dataset):
        assert split.labels["targets"].tolist() == [1 - v % 2 for v in seen(split)]


def test_folder_of_images(tmp_path):
    for name in ("no", "yes"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(10):
            picture(i + 100 * (name == "yes")).save(tmp_path / "train" / name / f"{i}.png")
    dataset = hf_image(generator=generator(), path=str(tmp_path), size=3, channels=1)
    assert dataset.input_shape == (1, 3, 3) and dataset.class_names == ["no", "yes"]
    values = {round(0.299 * v + 0.114 * (255 - v)): v >= 100 for v in [*range(10), *range(100, 110)]}
    for split in splits(dataset):
        assert split.labels["targets"].tolist() == [values[v] for v in seen(split)]


def test_named_splits_and_columns(tmp_path):
    import datasets

    features = {"label": datasets.Value("int64"), "coarse": datasets.ClassLabel(names=["x", "y", "z"])}
    for name, values in {"train": range(12), "test": range(12, 18)}.items():
        write(tmp_path / f"{name}.parquet", values, [7] * len(values), features, coarse=[v % 3 for v in values])
    dataset = hf_image(
        generator=generator(), path=str(tmp_path), validation_split="test", test_split="test", label_column="coarse"
    )
    assert seen(dataset.validation) == seen(dataset.test) == list(range(12, 18))
    assert dataset.test.labels["targets"].tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(UsageError, match=r"test_split=tset: .*did you mean 'test'.*train, test"):
        hf_image(generator=generator(), path=str(tmp_path), test_split="tset")
    with pytest.raises(UsageError, match=r"image_column=imag: .*did you mean 'image'.*coarse"):
        hf_image(generator=generator(), path=str(tmp_path), image_column="imag")


def test_columns_that_cannot_be_guessed(tmp_path):
    import datasets

    classes = datasets.ClassLabel(names=["no", "yes"])
    two = {"label": classes, "other": classes}
    write(tmp_path / "two" / "train.parquet", range(4), [0, 1] * 2, two, other=[0] * 4)
    with pytest.raises(UsageError, match=r"several: label, other. Set dataset.label_column .*image .*label .*other"):
        hf_image(generator=generator(), path=str(tmp_path / "two"))
    write(tmp_path / "real" / "train.parquet", range(4), [0.5] * 4, {"label": datasets.Value("float32")})
    with pytest.raises(UsageError, match=r"label_column=label: .*float"):
        hf_image(generator=generator(), path=str(tmp_path / "real"))
    datasets.Dataset.from_dict({"text": ["a"], "label": [0]}).to_parquet(tmp_path / "text" / "train.parquet")
    with pytest.raises(UsageError, match=r"looked for an image column and found none.*text .string"):
        hf_image(generator=generator(), path=str(tmp_path / "text"))


def test_labels_that_train_does_not_have(tmp_path):
    write(tmp_path / "train.parquet", range(4), [0, 1, 0, 1])
    write(tmp_path / "test.parquet", range(4), [-1] * 4)
    with pytest.raises(UsageError, match=r"-1"):
        hf_image(generator=generator(), path=str(tmp_path))


def test_different_sizes_need_a_size(tmp_path):
    import datasets

    rows = {"image": [picture(0), picture(1, (5, 5)), picture(2)], "label": [0, 1, 0]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(UsageError, match=r"dataset.size=null.*6x4.*5x5|dataset.size=null.*5x5.*6x4"):
        hf_image(generator=generator(), path=str(tmp_path))
    assert hf_image(generator=generator(), path=str(tmp_path), size=3).input_shape == (3, 3, 3)


def test_damaged_image(tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"image": [{"bytes": b"no image", "path": None}] * 20, "label": list(range(2)) * 10})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(RunError, match=r"Row 0 of split train, column image"):
        hf_image(generator=generator(), path=str(tmp_path))


def test_not_there(tmp_path):
    with pytest.raises(UsageError) as error:
        hf_image(generator=generator(), path="nobody/nothing")
    for part in ("dataset.path=nobody/nothing", os.path.abspath("nobody/nothing"), "HF_HUB_OFFLINE is set", "HF_HOME"):
        assert part in str(error.value)
    (tmp_path / "train.parquet").write_bytes(b"not parquet")
    with pytest.raises(UsageError, match=r"cannot be loaded"):
        hf_image(generator=generator(), path=str(tmp_path))
