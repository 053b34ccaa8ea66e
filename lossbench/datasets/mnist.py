"""MNIST: 70,000 grey 28x28 images of handwritten digits, 10 classes; through torchvision.

Source    LeCun, Bottou, Bengio and Haffner 1998, Gradient-Based Learning Applied to Document Recognition
Licence   CC BY-SA 3.0, as commonly stated; the authors' page names none
Inputs    [1, 28, 28] uint8
Splits    official test; of the official training images 10 % for validation, stratified by class, the rest for training
Files     torchvision's: root/MNIST/raw; downloaded there when they are not and ``download`` allows it
"""

from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.datasets.from_torchvision import from_torchvision

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def mnist(*, generator: Generator, root: str = "data", download: bool = True) -> Dataset:
    """generator draws the validation split; root is the folder that holds MNIST/raw."""
    return from_torchvision("MNIST", generator=generator, root=root, download=download, folder="MNIST/raw", files=FILES)
