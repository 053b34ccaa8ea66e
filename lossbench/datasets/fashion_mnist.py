"""Fashion-MNIST: 70,000 grey 28x28 images of clothes, 10 classes; through torchvision.

Source    Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747
Licence   MIT
Inputs    [1, 28, 28] uint8
Splits    official test; of the official training images 10 % for validation, stratified by class, the rest for training
Files     torchvision's: root/FashionMNIST/raw; downloaded there when they are not and ``download`` allows it
"""

from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.datasets.from_torchvision import from_torchvision

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def fashion_mnist(*, generator: Generator, root: str = "data", download: bool = True) -> Dataset:
    """generator draws the validation split; root is the folder that holds FashionMNIST/raw."""
    return from_torchvision(
        "FashionMNIST", generator=generator, root=root, download=download, folder="FashionMNIST/raw", files=FILES
    )
