"""Digits: 1,797 grey 8x8 images of handwritten digits, 10 classes; in scikit-learn, no download.

Source    Alpaydin and Kaynak 1998, the test set of UCI's Optical Recognition of Handwritten Digits
Licence   CC BY 4.0 (UCI)
Inputs    [1, 8, 8], 0..16: pixels that are set in each 4x4 block of a 32x32 bitmap
Splits    60 % train, 20 % validation, 20 % test, stratified by class
"""

import torch
from torch import Generator

from lossbench.datasets.bundled import bundled
from lossbench.datasets.dataset import Dataset, Split, split_indices


def digits(*, generator: Generator) -> Dataset:
    """generator draws the split."""
    table = torch.from_numpy(bundled("digits.csv.gz"))
    images = table[:, :-1].float().reshape(-1, 1, 8, 8)
    targets = table[:, -1].long()
    test, validation, train = split_indices(len(images), (0.2, 0.2), generator, targets)
    whole = Split(images, {"targets": targets})
    return Dataset(
        train=whole.select(train),
        validation=whole.select(validation),
        test=whole.select(test),
        num_outputs=10,
        mean=images[train].mean(),
        std=images[train].std(),
        class_names=[str(d) for d in range(10)],
        value_range=(0.0, 16.0),
    )
