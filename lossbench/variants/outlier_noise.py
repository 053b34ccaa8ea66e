"""Outlier noise: inputs that are nothing but noise become the split ``outliers``.

kind      gaussian: independent numbers with the mean and the standard deviation of all the training inputs, cut off
          at the range of the inputs where they have one. uniform: over that range, or between the least and the
          greatest training input
number    of examples; null: as many as the test split has
Adds      extra["outliers"], without targets; train, validation and test stay as they are
Source    Hendrycks and Gimpel 2017, arXiv:1610.02136, whose out-of-distribution sets have Gaussian and uniform noise
Differs   the Gaussian has the data's own mean and deviation, so that brightness and contrast tell nothing
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.variants.variant import as_bytes, in_memory, value_range, with_outliers


def outlier_noise(
    dataset: Dataset,
    generator: Generator,
    *,
    kind: Literal["gaussian", "uniform"] = "gaussian",
    number: Annotated[int, Ge(1)] | None = None,
) -> Dataset:
    training = in_memory(dataset.train, "outlier_noise").float()
    shape = (number or len(dataset.test), *dataset.input_shape)
    known = value_range(dataset)
    if kind == "gaussian":
        std, mean = torch.std_mean(training)
        made = mean + std * torch.randn(shape, generator=generator)
        made = made if known is None else made.clamp(*known)
    else:
        low, high = known or (training.min(), training.max())
        made = low + (high - low) * torch.rand(shape, generator=generator)
    return with_outliers(dataset, as_bytes(made, dataset), "outlier_noise")
