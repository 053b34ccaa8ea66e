import numpy as np
import pytest
import torch

from lossbench.datasets.cifar10 import FILES, cifar10
from lossbench.errors import UsageError
from lossbench.torchvision import torchvision
from tests.datasets.files import cifar_rows, write_pickle
from tests.datasets.support import generator, rows

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Six small batches, and torchvision told their checksums in the place of the real ones."""
    kind, draws, content = torchvision().datasets.CIFAR10, np.random.default_rng(0), {}
    md5 = {}
    for name in FILES[:-1]:
        content[name] = cifar_rows(draws, 20), [i % 10 for i in range(20)]
        data, labels = content[name]
        md5[name] = write_pickle(tmp_path / kind.base_folder / name, {"data": data, "labels": labels})
    meta = write_pickle(tmp_path / kind.base_folder / "batches.meta", {"label_names": NAMES})
    monkeypatch.setattr(kind, "train_list", [[name, md5[name]] for name in FILES[:5]])
    monkeypatch.setattr(kind, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta})
    return content


def test_reads_the_files(written, tmp_path):
    dataset = cifar10(generator=generator(), root=str(tmp_path), download=False)
    data, labels = written["test_batch"]
    assert torch.equal(dataset.test.inputs, torch.from_numpy(data).reshape(20, 3, 32, 32))
    assert dataset.test.labels["targets"].tolist() == labels
    together = torch.cat([dataset.train.inputs, dataset.validation.inputs])
    targets = torch.cat([dataset.train.labels["targets"], dataset.validation.labels["targets"]])
    data = np.concatenate([written[name][0] for name in FILES[:5]])
    np.testing.assert_array_equal(rows(together, targets), rows(data, [i % 10 for i in range(100)]))
    assert torch.bincount(dataset.validation.labels["targets"]).tolist() == [1] * 10
    assert dataset.mean.shape == dataset.std.shape == (3, 1, 1) and list(dataset.class_names) == NAMES
    assert dataset.train.inputs.is_contiguous()


def test_one_flipped_bit_is_noticed(written, tmp_path):
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(UsageError, match="damaged"):
        cifar10(generator=generator(), root=str(tmp_path), download=False)


def test_missing(tmp_path):
    with pytest.raises(UsageError) as error:
        cifar10(generator=generator(), root=str(tmp_path), download=False)
    for part in (str(tmp_path / "cifar-10-batches-py"), *FILES, "dataset.root", "LOSSBENCH_DATA"):
        assert part in str(error.value)
