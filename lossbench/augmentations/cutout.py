"""Cutout: a square of each image, with its middle anywhere in the image, is set to 0, the mean of the training images.

size      side of the square in pixels, >= 1; the square is cut off at the border
Paper     DeVries and Taylor 2017, arXiv:1708.04552, section 3.2; theirs is 16 for CIFAR-10, 8 for CIFAR-100
Differs   nothing
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.augmentations.augmentation import Batch, boxes, images


def cutout(batch: Batch, generator: Generator, *, size: Annotated[int, Ge(1)] = 8) -> Batch:
    x = images(batch, "cutout")
    n, _, height, width = x.shape
    side = torch.full((n,), size, device=x.device)
    rows = boxes(torch.randint(0, height, (n,), generator=generator, device=x.device), side, height)
    columns = boxes(torch.randint(0, width, (n,), generator=generator, device=x.device), side, width)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return {**batch, "x": x.masked_fill(inside, 0)}
