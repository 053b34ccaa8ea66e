import urllib.error

import numpy as np
import pytest
import torch

from lossbench.datasets.mnist import FILES, mnist
from lossbench.errors import UsageError
from lossbench.torchvision import torchvision
from tests.datasets.files import write_mnist
from tests.datasets.support import generator, rows


def test_reads_the_files(tmp_path):
    written = write_mnist(tmp_path / "MNIST" / "raw", np.random.default_rng(0))
    dataset = mnist(generator=generator(), root=str(tmp_path), download=False)
    images, targets = written["t10k"]
    assert torch.equal(dataset.test.inputs, torch.from_numpy(images).unsqueeze(1))  # uint8, in the order of the file
    assert dataset.test.labels["targets"].tolist() == targets.tolist()
    images, targets = written["train"]
    together = torch.cat([dataset.train.inputs, dataset.validation.inputs])
    labels = torch.cat([dataset.train.labels["targets"], dataset.validation.labels["targets"]])
    np.testing.assert_array_equal(rows(together, labels), rows(images, targets))
    assert torch.bincount(dataset.validation.labels["targets"]).tolist() == [1] * 10  # 10 % of 10 of each class
    assert dataset.mean.shape == (1, 1, 1) and dataset.num_outputs == 10 and len(dataset.class_names) == 10
    np.testing.assert_allclose(dataset.mean.item(), dataset.train.inputs.double().mean(), rtol=1e-6)


def test_missing_files(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw", np.random.default_rng(0))
    (tmp_path / "MNIST" / "raw" / FILES[2]).unlink()
    with pytest.raises(UsageError) as error:
        mnist(generator=generator(), root=str(tmp_path), download=False)
    for part in (str(tmp_path / "MNIST" / "raw"), f": {FILES[2]} not found", "LOSSBENCH_DATA", "download=false"):
        assert part in str(error.value)


def test_damaged_file(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw", np.random.default_rng(0))
    path = tmp_path / "MNIST" / "raw" / FILES[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match="damaged"):
        mnist(generator=generator(), root=str(tmp_path), download=False)


def test_no_network(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torchvision().datasets.utils.urllib.request, "urlopen", no_network)
    with pytest.raises(UsageError, match=r"downloading it failed .*no network"):
        mnist(generator=generator(), root=str(tmp_path / "new"))
