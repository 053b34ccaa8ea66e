"""Flip: each image is mirrored left to right with some probability.

probability   in [0, 1]
"""

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Generator

from lossbench.augmentations.augmentation import Batch, images


def flip(batch: Batch, generator: Generator, *, probability: Annotated[float, Interval(ge=0, le=1)] = 0.5) -> Batch:
    x = images(batch, "flip")
    mirrored = torch.rand((len(x), 1, 1, 1), generator=generator, device=x.device) < probability
    return {**batch, "x": torch.where(mirrored, x.flip(-1), x)}
