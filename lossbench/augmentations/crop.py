"""Crop: each image is padded on all sides, and a random window of its own size is cut out.

padding   pixels on each side, >= 0; every shift of -padding..padding is equally likely, in both directions
fill      reflect: the padding mirrors the image, without its border pixel (padding below height and width); zero: it is
          0, the mean of the training images, since inputs are standardised
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Generator

from lossbench.augmentations.augmentation import Batch, images
from lossbench.errors import UsageError


def crop(
    batch: Batch,
    generator: Generator,
    *,
    padding: Annotated[int, Ge(0)] = 4,
    fill: Literal["reflect", "zero"] = "reflect",
) -> Batch:
    x = images(batch, "crop")
    n, channels, height, width = x.shape
    if fill == "reflect" and padding >= min(height, width):
        raise UsageError(
            f"augmentation.crop.padding={padding}: images of {width}x{height} can be mirrored by less than their size. "
            f"Choose a padding below {min(height, width)}, or augmentation.crop.fill=zero."
        )
    padded = F.pad(x, (padding,) * 4, mode="reflect" if fill == "reflect" else "constant")
    top, left = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator, device=x.device)
    rows = top + torch.arange(height, device=x.device)  # [B, height]
    columns = left + torch.arange(width, device=x.device)
    example = torch.arange(n, device=x.device).view(n, 1, 1, 1)
    channel = torch.arange(channels, device=x.device).view(1, channels, 1, 1)
    return {**batch, "x": padded[example, channel, rows[:, None, :, None], columns[:, None, None, :]]}
