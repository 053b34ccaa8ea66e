"""CIFAR-100: 60,000 colour 32x32 images of things and animals, 100 classes; through torchvision.

Source    Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; the fine labels
Licence   none stated by the author
Inputs    [3, 32, 32] uint8
Splits    official test; of the official training images 10 % for validation, stratified by class, the rest for training
Files     torchvision's: root/cifar-100-python; downloaded there when they are not and ``download`` allows it
"""

from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.datasets.from_torchvision import from_torchvision

FILES = ("train", "test", "meta")


def cifar100(*, generator: Generator, root: str = "data", download: bool = True) -> Dataset:
    """generator draws the validation split; root is the folder that holds cifar-100-python."""
    return from_torchvision(
        "CIFAR100", generator=generator, root=root, download=download, folder="cifar-100-python", files=FILES
    )
