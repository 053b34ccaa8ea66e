"""Outlier data set: the test inputs of another data set become the split ``outliers``.

name       of the other data set, as in dataset=...; it is made with the defaults of its config and LOSSBENCH_DATA
number     of examples, drawn at random; null: all of its test split
resize     true: images are brought to this data set's height and width (bilinear), grey ones repeated to three
           channels, colour ones averaged to one; false: another shape is refused
Adds       extra["outliers"], without targets. Where both data sets have a range of values and they differ (bytes and
           0..16, say), the values are scaled to this one's. Train, validation and test stay as they are
Source     Hendrycks and Gimpel 2017, arXiv:1610.02136: another data set as what is out of the distribution
"""

from collections.abc import Sequence
from typing import Annotated, cast

import torch.nn.functional as F
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench import locations
from lossbench.datasets.dataset import Dataset, sample_indices
from lossbench.errors import UsageError, nearest
from lossbench.variants.variant import as_bytes, in_memory, value_range, with_outliers


def outlier_dataset(
    dataset: Dataset,
    generator: Generator,
    *,
    name: str | None = None,
    number: Annotated[int, Ge(1)] | None = None,
    resize: bool = True,
) -> Dataset:
    other = _made(name, generator)
    split = other.test
    if number is not None and number < len(split):
        split = split.select(sample_indices(len(split), number, generator))
    inputs = in_memory(split, "outlier_dataset").float()
    ours, theirs = value_range(dataset), value_range(other)
    if ours is not None and theirs is not None and ours != theirs:
        inputs = (inputs - theirs[0]) / (theirs[1] - theirs[0]) * (ours[1] - ours[0]) + ours[0]
    if tuple(inputs.shape[1:]) != dataset.input_shape:
        inputs = _shaped(inputs, dataset.input_shape, resize)
    return with_outliers(dataset, as_bytes(inputs, dataset), "outlier_dataset")


def _made(name: str | None, generator: Generator) -> Dataset:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    files = locations.config_files("dataset")
    if name not in files:
        said = "must be given" if name is None else f"there is no such data set{nearest(name, files) or ''}"
        raise UsageError(f"variant.outlier_dataset.name={name}: {said}. There are: {', '.join(sorted(files))}.")
    config = cast(dict, OmegaConf.to_container(OmegaConf.load(files[name]), resolve=True))
    return instantiate(config.get("dataset", config))(generator=generator)


def _shaped(inputs: Tensor, shape: Sequence[int], resize: bool) -> Tensor:
    both_images = len(shape) == 3 and inputs.ndim == 4 and {shape[0], inputs.shape[1]} <= {1, 3}
    if not (both_images and resize):
        right = "Set variant.outlier_dataset.resize=true" if both_images else "Choose a data set with inputs like these"
        raise UsageError(
            f"variant.outlier_dataset: the inputs of the other data set have the shape {list(inputs.shape[1:])}, and "
            f"those of this one {list(shape)}. {right}, or variant=[outlier_noise]."
        )
    if inputs.shape[1] != shape[0]:
        inputs = inputs.expand(-1, 3, -1, -1) if shape[0] == 3 else inputs.mean(1, keepdim=True)
    return F.interpolate(inputs, size=tuple(shape[1:]), mode="bilinear", align_corners=False, antialias=True)
