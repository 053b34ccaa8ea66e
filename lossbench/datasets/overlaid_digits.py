"""Overlaid digits: two handwritten digits in one image, one towards each corner; each is to be told apart.

Two tasks at once: the class of the upper left and of the lower right digit. Every class of one goes with every class of
the other alike often; where strokes overlap, the darker one is seen.

Source    the images of the data set digits (Alpaydin and Kaynak 1998), put together as MultiMNIST is (Sener and Koltun
          2018, arXiv:1810.04650), whose canvas is 36 of 28 pixels wide
Licence   CC BY 4.0 (UCI)
Inputs    [1, 8 + shift, 8 + shift], 0..16
Splits    the images are split as in digits, 60/20/20 %, then each split's pairs are made from its own images
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.digits import digits


def overlaid_digits(
    *,
    generator: Generator,
    train_per_pair: Annotated[int, Ge(1)] = 30,
    held_out_per_pair: Annotated[int, Ge(1)] = 10,
    shift: Annotated[int, Ge(0)] = 2,
) -> Dataset:
    """generator draws the split of the images, then the pairs.

    train_per_pair      images of each of the 100 pairs of classes for training
    held_out_per_pair   and in validation and test, each
    shift               pixels between the two digits along both axes; 0 lays one on the other
    """
    images = digits(generator=generator)
    train = _overlaid(images.train, train_per_pair, shift, generator)
    assert isinstance(train.inputs, Tensor)
    return Dataset(
        train=train,
        validation=_overlaid(images.validation, held_out_per_pair, shift, generator),
        test=_overlaid(images.test, held_out_per_pair, shift, generator),
        num_outputs=10,
        mean=train.inputs.mean(),
        std=train.inputs.std(),
        class_names=images.class_names,
        value_range=images.value_range,
    )


def _overlaid(split: Split, per_pair: int, shift: int, generator: Generator) -> Split:
    assert isinstance(split.inputs, Tensor)
    pairs = torch.arange(100).repeat(per_pair)[torch.randperm(100 * per_pair, generator=generator)]
    targets = torch.stack([pairs // 10, pairs % 10], 1)
    canvases = []
    for task in range(2):
        chosen = torch.empty_like(pairs)
        for c in range(10):
            of_class = (split.labels["targets"] == c).nonzero().flatten()
            places = targets[:, task] == c
            chosen[places] = of_class[torch.randint(len(of_class), (int(places.sum()),), generator=generator)]
        before, after = (0, shift) if task == 0 else (shift, 0)
        canvases.append(torch.nn.functional.pad(split.inputs[chosen], (before, after, before, after)))
    return Split(torch.maximum(*canvases), {"task_targets": targets})
