import numpy as np
import torch

from lossbench.datasets.cifar100 import cifar100
from lossbench.torchvision import torchvision
from tests.datasets.files import cifar_rows, write_pickle
from tests.datasets.support import generator


def test_reads_the_files(tmp_path, monkeypatch):  # the fine labels, not the coarse ones
    kind, draws, data = torchvision().datasets.CIFAR100, np.random.default_rng(0), {}
    fine, names = [i % 100 for i in range(200)], [f"class {i}" for i in range(100)]
    for name in ("train", "test"):
        data[name] = cifar_rows(draws, 200)
        content = {"data": data[name], "fine_labels": fine, "coarse_labels": [0] * 200}
        md5 = write_pickle(tmp_path / kind.base_folder / name, content)
        monkeypatch.setattr(kind, f"{name}_list", [[name, md5]])
    meta = write_pickle(tmp_path / kind.base_folder / "meta", {"fine_label_names": names})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta})
    dataset = cifar100(generator=generator(), root=str(tmp_path), download=False)
    assert torch.equal(dataset.test.inputs, torch.from_numpy(data["test"]).reshape(200, 3, 32, 32))
    assert dataset.test.labels["targets"].tolist() == fine
    assert dataset.num_outputs == 100 and list(dataset.class_names) == names
    assert [len(dataset.train), len(dataset.validation)] == [180, 20]
