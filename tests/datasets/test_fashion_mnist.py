import numpy as np
import torch

from lossbench.datasets.fashion_mnist import fashion_mnist
from tests.datasets.files import write_mnist
from tests.datasets.support import generator


def test_reads_the_files(tmp_path):
    images, targets = write_mnist(tmp_path / "FashionMNIST" / "raw", np.random.default_rng(1))["t10k"]
    dataset = fashion_mnist(generator=generator(), root=str(tmp_path), download=False)
    assert torch.equal(dataset.test.inputs, torch.from_numpy(images).unsqueeze(1))
    assert dataset.test.labels["targets"].tolist() == targets.tolist()
    assert [len(dataset.train), len(dataset.validation)] == [90, 10]
    assert dataset.class_names[0] == "T-shirt/top" and dataset.num_outputs == 10
