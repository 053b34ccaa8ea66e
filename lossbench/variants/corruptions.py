"""Corruptions: copies of the test split with graded damage, one further split for each kind and severity.

kinds        which of these; s is the severity, and the range of the inputs is scaled to 0..1
             gaussian_noise   plus noise of deviation 0.08, 0.12, 0.18, 0.26, 0.38
             impulse_noise    a share of 0.03, 0.06, 0.09, 0.17, 0.27 of the numbers becomes 0 or 1
             contrast         (x - mean of its channel) times 0.4, 0.3, 0.2, 0.1, 0.05, plus that mean
             brightness       plus 0.1, 0.2, 0.3, 0.4, 0.5
             blur             Gaussian of deviation 4, 6, 8, 10, 12 % of the image's side
             rotation         by 15, 30, 45, 60, 75 degrees, the corners filled with the least value
severities   of 1 to 5
Adds         extra["corrupted_<kind>_<severity>"] with the labels of the test split; all other splits stay as they are.
             Results are cut off at the range of the inputs. blur and rotation are for images, the others for rows too,
             whose range is that of the training inputs if they have no other
Source       Hendrycks and Dietterich 2019, arXiv:1903.12261: kinds and numbers of the first four are those of the
             authors' code for ImageNet-C, of blur and rotation our own
Differs      brightness there is the V of HSV, here every channel; noise is drawn once, so that all runs see the same
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Interval, Len
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.rotation import rotated
from lossbench.errors import UsageError
from lossbench.variants.variant import as_bytes, in_memory, value_range

Kind = Literal["gaussian_noise", "impulse_noise", "contrast", "brightness", "blur", "rotation"]


def corruptions(
    dataset: Dataset,
    generator: Generator,
    *,
    kinds: Annotated[Sequence[Kind], Len(1)] = ("gaussian_noise", "impulse_noise", "contrast", "blur", "rotation"),
    severities: Annotated[Sequence[Annotated[int, Interval(ge=1, le=5)]], Len(1)] = (1, 2, 3, 4, 5),
) -> Dataset:
    clean = in_memory(dataset.test, "corruptions").float()
    training = in_memory(dataset.train, "corruptions")
    low, high = value_range(dataset) or (float(training.min()), float(training.max()))
    unit = (clean - low) / (high - low)
    seed = int(torch.randint(2**62, (), generator=generator))
    made = {}
    for kind in dict.fromkeys(kinds):
        if kind in ("blur", "rotation") and clean.ndim != 4:
            raise UsageError(
                f"variant.corruptions.kinds: {kind} is for images, and the inputs of this data set have the shape "
                f"{list(dataset.input_shape)}. Choose among gaussian_noise, impulse_noise, contrast, brightness."
            )
        for severity in sorted(set(severities)):
            # The same draws for every severity and whatever else is chosen: severities differ in the damage alone.
            draws = Generator().manual_seed(seed)
            damaged = CORRUPTIONS[kind](unit, severity - 1, draws).clamp(0, 1) * (high - low) + low
            made[f"corrupted_{kind}_{severity}"] = Split(as_bytes(damaged, dataset), dataset.test.labels)
    return replace(dataset, extra={**dataset.extra, **made})


def _gaussian_noise(x: Tensor, level: int, generator: Generator) -> Tensor:
    return x + (0.08, 0.12, 0.18, 0.26, 0.38)[level] * torch.randn(x.shape, generator=generator)


def _impulse_noise(x: Tensor, level: int, generator: Generator) -> Tensor:
    hit = torch.rand(x.shape, generator=generator) < (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    return torch.where(hit, (torch.rand(x.shape, generator=generator) < 0.5).float(), x)


def _contrast(x: Tensor, level: int, generator: Generator) -> Tensor:
    mean = x.mean(tuple(range(min(2, x.ndim - 1), x.ndim)), keepdim=True)
    return (x - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + mean


def _brightness(x: Tensor, level: int, generator: Generator) -> Tensor:
    return x + (0.1, 0.2, 0.3, 0.4, 0.5)[level]


def _blur(x: Tensor, level: int, generator: Generator) -> Tensor:
    for axis in (-2, -1):
        sigma = (0.04, 0.06, 0.08, 0.1, 0.12)[level] * x.shape[axis]
        radius = math.ceil(4 * sigma)
        places = torch.arange(-radius, radius + 1)
        weights = torch.exp(-0.5 * (places / sigma).square())
        size = [1, 1, 1, 1]
        size[axis] = len(places)
        padding = [radius, radius, 0, 0] if axis == -1 else [0, 0, radius, radius]
        kernel = (weights / weights.sum()).reshape(size).expand(x.shape[1], -1, -1, -1)
        x = F.conv2d(F.pad(x, padding, mode="replicate"), kernel, groups=x.shape[1])
    return x


def _rotation(x: Tensor, level: int, generator: Generator) -> Tensor:
    return rotated(x, (15.0, 30.0, 45.0, 60.0, 75.0)[level])


CORRUPTIONS: dict[str, Callable[[Tensor, int, Generator], Tensor]] = {
    "gaussian_noise": _gaussian_noise,
    "impulse_noise": _impulse_noise,
    "contrast": _contrast,
    "brightness": _brightness,
    "blur": _blur,
    "rotation": _rotation,
}
