"""What data sets of image files have in common: reading one image at a time, and the choice to read all at once."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset, Split, mean_and_std, read
from lossbench.errors import RunError, UsageError

IN_MEMORY_BELOW = 2 * 2**30  # bytes of all splits together, one per pixel and channel


class Files(Protocol):
    """Image files by number. Must pickle, because other processes may do the reading."""

    def open(self, index: int) -> Any:
        """The image, as Pillow's Image."""

    def name(self, index: int) -> str:
        """What an error calls it."""


class Images:
    """LazyInputs: each image is decoded when it is asked for, uint8 [channels, height, width].

    files      what opens an image as Pillow does, and names it in errors
    size       the shorter side is resized to it and the middle square kept; None leaves images as they are, which must
               then all have one size
    channels   1 grey, 3 colour: images are converted
    """

    def __init__(self, files: Files, n: int, *, size: int | None, channels: int):
        self.files, self.n, self.size, self.channels = files, n, size, channels
        self.shape = tuple(self._decode(0).shape)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Tensor:
        pixels = self._decode(index)
        if tuple(pixels.shape) != self.shape:
            raise UsageError(
                f"dataset.size=null: images have different sizes ({_size(self.shape)} and {_size(pixels.shape)}). "
                "Set dataset.size=64, or another number of pixels, to resize all to squares of that size."
            )
        return pixels

    def _decode(self, index: int) -> Tensor:
        from PIL import Image, ImageOps

        try:
            image = self.files.open(index).convert("L" if self.channels == 1 else "RGB")
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
            raise RunError(
                f"{self.files.name(index)} cannot be read as an image ({error}). Repair or remove it."
            ) from error
        if self.size is not None:
            image = ImageOps.fit(image, (self.size, self.size), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image))
        return pixels.unsqueeze(0) if self.channels == 1 else pixels.permute(2, 0, 1).contiguous()


def _size(shape: Sequence[int]) -> str:
    return f"{shape[2]}x{shape[1]}"


def dataset_of_images(
    train: Split, validation: Split, test: Split, *, class_names: Sequence[str], in_memory: Literal["auto"] | bool
) -> Dataset:
    """The data set of these splits of Images: decoded at once where they are to be in memory, and standardised.

    Where they stay on the disk, mean and standard deviation are estimated from 1,000 training images.
    """
    needed = (len(train) + len(validation) + len(test)) * train.inputs[0].numel()
    if in_memory is True or (in_memory == "auto" and needed <= IN_MEMORY_BELOW):
        train, validation, test = (
            Split(read(split.inputs, range(len(split))), split.labels) for split in (train, validation, test)
        )
    mean, std = mean_and_std(train.inputs)
    return Dataset(train, validation, test, len(class_names), mean=mean, std=std, class_names=class_names)
