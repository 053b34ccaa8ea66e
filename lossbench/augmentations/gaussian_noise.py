"""Gaussian noise: independent normal noise is added to every input value. For inputs of any shape.

scale     standard deviation, >= 0; inputs are standardised, so 1 is theirs
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.augmentations.augmentation import Batch, numbers


def gaussian_noise(batch: Batch, generator: Generator, *, scale: Annotated[float, Ge(0)] = 0.1) -> Batch:
    x = numbers(batch, "gaussian_noise")
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return {**batch, "x": x + scale * noise}
