"""Digits, several at once: 16x16 canvases of real handwritten digits, labelled with the classes that are on them.

Each canvas is a grid of 8x8 cells. It shows between one and as many digits as it has cells, every number equally
likely, in random cells; each digit is a random image of the split, with replacement, and the other cells are empty.
label c is 1 where an image of class c is on the canvas, once or more.

Task      multilabel: which of the 10 classes are present
Source    the images of the data set digits (Alpaydin and Kaynak 1998); the arrangement is lossbench's own
Licence   CC BY 4.0 (UCI)
Inputs    [1, 8 rows, 8 columns], 0..16
Splits    the images are split as in digits, 60/20/20 %, then each split's canvases are made from its own images, so
          that no image is on canvases of two splits; canvases 60/20/20 % too
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.digits import digits
from lossbench.ops import one_hot


def digits_multilabel(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 5000,
    rows: Annotated[int, Ge(1)] = 2,
    columns: Annotated[int, Ge(1)] = 2,
) -> Dataset:
    """generator draws the split of the images, then the canvases.

    num_examples    canvases of train, validation and test together
    rows, columns   cells of the grid
    """
    images = digits(generator=generator)
    held_out = num_examples // 5
    train = _canvases(images.train, num_examples - 2 * held_out, rows, columns, generator)
    validation = _canvases(images.validation, held_out, rows, columns, generator)
    test = _canvases(images.test, held_out, rows, columns, generator)
    return Dataset(
        train=Split(*train),
        validation=Split(*validation),
        test=Split(*test),
        num_outputs=10,
        mean=train[0].mean(),
        std=train[0].std(),
        class_names=images.class_names,
    )


def _canvases(split: Split, n: int, rows: int, columns: int, generator: Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """n canvases from the images of the split, and their labels."""
    images, targets, cells = split.inputs, split.labels["targets"], rows * columns
    assert isinstance(images, Tensor)
    chosen = torch.randint(len(split), (n, cells), generator=generator)
    count = torch.randint(1, cells + 1, (n, 1), generator=generator)
    # The ranks of random numbers are a random order of the cells: those of rank below count are filled.
    filled = torch.rand((n, cells), generator=generator).argsort(1).argsort(1) < count
    tiles = images[chosen] * filled[..., None, None, None]  # [n, cells, 1, 8, 8]
    canvases = tiles.reshape(n, rows, columns, 8, 8).transpose(2, 3).reshape(n, 1, rows * 8, columns * 8)
    present = one_hot(targets[chosen], 10) * filled[..., None]
    return canvases, {"labels": present.amax(1)}
