"""Coloured digits: is the digit 5 or more? A colour says so too, most of the time in training, and misleads in tests.

    targets = [digit >= 5], the other class with probability label_noise
    colour  = targets with probability correlation, otherwise 1 - targets        groups = 2 targets + colour

An image has two channels; the digit is in the one of its colour, the other one is 0.

Task      classification: 2 classes, 4 groups, the product of class and colour
Source    the images of the data set digits (Alpaydin and Kaynak 1998), coloured as Arjovsky et al. 2019,
          arXiv:1907.02893, coloured MNIST: correlations 0.8 and 0.9 in their two training environments and 0.1
          in the test, label_noise 0.25
Licence   CC BY 4.0 (UCI)
Inputs    [2, 8, 8], 0..16
Splits    60/20/20 % as in digits, stratified by digit; each with its own correlation
"""

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.digits import digits

Probability = Annotated[float, Interval(ge=0, le=1)]


def colored_digits(
    *,
    generator: Generator,
    correlation: Probability = 0.9,
    validation_correlation: Probability = 0.9,
    test_correlation: Probability = 0.1,
    label_noise: Probability = 0.0,
) -> Dataset:
    """generator draws the split of the images, then labels and colours.

    correlation, validation_correlation, test_correlation   part of the examples whose colour is their class's
    label_noise   part of the labels that are flipped, in every split
    """
    images = digits(generator=generator)
    train = _coloured(images.train, correlation, label_noise, generator)
    assert isinstance(train.inputs, Tensor)
    return Dataset(
        train=train,
        validation=_coloured(images.validation, validation_correlation, label_noise, generator),
        test=_coloured(images.test, test_correlation, label_noise, generator),
        num_outputs=2,
        mean=train.inputs.mean(),
        std=train.inputs.std(),
        class_names=["below 5", "5 or more"],
    )


def _coloured(split: Split, correlation: float, label_noise: float, generator: Generator) -> Split:
    images, digit = split.inputs, split.labels["targets"]
    assert isinstance(images, Tensor)
    noisy = torch.rand(len(split), generator=generator) < label_noise
    targets = ((digit >= 5) ^ noisy).long()
    misleading = torch.rand(len(split), generator=generator) >= correlation
    colours = targets ^ misleading.long()
    channels = colours[:, None, None, None] == torch.arange(2)[:, None, None]  # [n, 2, 1, 1]
    return Split(images * channels, {"targets": targets, "groups": 2 * targets + colours})
