"""Two digits: 8x16 images of two handwritten digits side by side, 100 classes, 00 to 99.

Each half is a random image of its digit, with replacement; all classes are equally frequent.

Source    the images of the data set digits (Alpaydin and Kaynak 1998); the pairs are lossbench's own
Licence   CC BY 4.0 (UCI)
Inputs    [1, 8, 16], 0..16
Splits    the images are split as in digits, 60/20/20 %, then each split's pairs are made from its own images
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.digits import digits


def two_digits(
    *, generator: Generator, train_per_class: Annotated[int, Ge(1)] = 30, held_out_per_class: Annotated[int, Ge(1)] = 10
) -> Dataset:
    """generator draws the split of the images, then the pairs.

    train_per_class      examples of each class for training
    held_out_per_class   and in validation and test, each
    """
    images = digits(generator=generator)
    train = _pairs(images.train, train_per_class, generator)
    assert isinstance(train.inputs, Tensor)
    return Dataset(
        train=train,
        validation=_pairs(images.validation, held_out_per_class, generator),
        test=_pairs(images.test, held_out_per_class, generator),
        num_outputs=100,
        mean=train.inputs.mean(),
        std=train.inputs.std(),
        class_names=[f"{c:02d}" for c in range(100)],
    )


def _pairs(split: Split, per_class: int, generator: Generator) -> Split:
    """per_class images of each of the 100 classes, in random order."""
    assert isinstance(split.inputs, Tensor)
    targets = torch.arange(100).repeat(per_class)[torch.randperm(100 * per_class, generator=generator)]
    halves = []
    for digit in (targets // 10, targets % 10):
        chosen = torch.empty_like(targets)
        for c in range(10):
            of_class = (split.labels["targets"] == c).nonzero().flatten()
            places = digit == c
            chosen[places] = of_class[torch.randint(len(of_class), (int(places.sum()),), generator=generator)]
        halves.append(split.inputs[chosen])
    return Split(torch.cat(halves, -1), {"targets": targets})
