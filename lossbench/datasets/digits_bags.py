"""Bags of digits for multiple-instance learning: a bag is positive where it shows a nine; its digits are not known.

Half of the bags are negative: instances that are all other digits, drawn at random with replacement. In a positive bag
some instances, between one and a fifth of them, every number equally likely, are nines in random places.

Task      multiple_instance: is a nine among the instances?
Source    the images of the data set digits (Alpaydin and Kaynak 1998); the bags are lossbench's own, after the MNIST
          bags of Ilse et al. 2018, arXiv:1802.04712, which vary in size
Licence   CC BY 4.0 (UCI)
Inputs    [instances, 1, 8, 8], 0..16
Splits    the images are split as in digits, 60/20/20 %, then each split's bags are made from its own images
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.digits import digits


def digits_bags(
    *,
    generator: Generator,
    train_bags: Annotated[int, Ge(2)] = 100,
    validation_bags: Annotated[int, Ge(2)] = 200,
    test_bags: Annotated[int, Ge(2)] = 500,
    instances: Annotated[int, Ge(2)] = 10,
    positive_digit: Annotated[int, Interval(ge=0, le=9)] = 9,
) -> Dataset:
    """generator draws the split of the images, then the bags.

    train_bags, validation_bags, test_bags    half of each are positive
    instances        of each bag
    positive_digit   that makes a bag positive
    """
    images = digits(generator=generator)
    train = _bags(images.train, train_bags, instances, positive_digit, generator)
    validation = _bags(images.validation, validation_bags, instances, positive_digit, generator)
    test = _bags(images.test, test_bags, instances, positive_digit, generator)
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        num_outputs=2,
        mean=train.inputs.mean(),  # type: ignore[union-attr]  # a tensor
        std=train.inputs.std(),  # type: ignore[union-attr]
        class_names=["negative", "positive"],
    )


def _bags(split: Split, number: int, instances: int, positive_digit: int, generator: Generator) -> Split:
    """That many bags from the images of the split, every second one positive, in random order."""
    assert isinstance(split.inputs, Tensor)
    is_key = split.labels["targets"] == positive_digit
    keys, others = is_key.nonzero().flatten(), (~is_key).nonzero().flatten()
    members = others[torch.randint(len(others), (number, instances), generator=generator)]
    key_members = keys[torch.randint(len(keys), (number, instances), generator=generator)]
    targets = (torch.randperm(number, generator=generator) % 2).long()
    count = torch.randint(1, max(1, instances // 5) + 1, (number, 1), generator=generator)
    # The ranks of random numbers are a random order of the places: those of rank below count are nines.
    places = torch.rand((number, instances), generator=generator).argsort(1).argsort(1) < count
    members = torch.where(places & (targets == 1).unsqueeze(1), key_members, members)
    return Split(split.inputs[members], {"targets": targets})
