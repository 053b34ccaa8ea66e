"""CIFAR-10: 60,000 colour 32x32 images of things and animals, 10 classes; through torchvision.

Source    Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images
Licence   none stated by the author
Inputs    [3, 32, 32] uint8
Splits    official test; of the official training images 10 % for validation, stratified by class, the rest for training
Files     torchvision's: root/cifar-10-batches-py; downloaded there when they are not and ``download`` allows it
"""

from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.datasets.from_torchvision import from_torchvision

FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")


def cifar10(*, generator: Generator, root: str = "data", download: bool = True) -> Dataset:
    """generator draws the validation split; root is the folder that holds cifar-10-batches-py."""
    return from_torchvision(
        "CIFAR10", generator=generator, root=root, download=download, folder="cifar-10-batches-py", files=FILES
    )
