"""Captions: an object with a word for each of its attributes, and a description that names some of them.

    small red metal cube left > red cube .

Source    made here; references that name different things, as those of people do
Inputs    [2 attributes + 1] token indices: all the object's words, a sign to begin, the description; targets are the
          tokens after them, mask is true on the description and its full stop; what is behind is full stops too and
          does not count
Splits    80 % train, 10 % validation, 10 % test, no object twice
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.sequences import dataset_of_sequences, letters
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError


def captions(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 2500,
    num_attributes: Annotated[int, Interval(ge=1, le=9)] = 5,
    num_values: Annotated[int, Interval(ge=2, le=100)] = 5,
    mention_rate: Annotated[float, Interval(gt=0, le=1)] = 0.4,
) -> TokenDataset:
    """generator draws objects, descriptions and the split.

    num_examples    objects in all
    num_attributes  words of an object, such as a3 for the fourth value of the first attribute
    num_values      of each attribute
    mention_rate    probability that a description names an attribute; one that is drawn always
    """
    objects = num_values**num_attributes
    if num_examples > objects:
        raise UsageError(
            f"dataset: {num_attributes} attributes of {num_values} values make only {objects} objects. Give more "
            f"dataset.num_attributes or num_values, or at most dataset.num_examples={objects}."
        )
    names = [f"{letter}{value}" for letter in letters(num_attributes) for value in range(num_values)] + [".", ">"]
    stop, sign = names.index("."), names.index(">")
    if objects <= 2**22:
        codes = torch.randperm(objects, generator=generator)[:num_examples]
    else:
        codes = torch.randint(objects, (num_examples,), generator=generator).unique()
        codes = codes[torch.randperm(len(codes), generator=generator)]
    places = torch.arange(num_attributes)
    source = codes.unsqueeze(1) // num_values**places % num_values + places * num_values
    named = torch.rand(source.shape, generator=generator) < mention_rate
    always = torch.randint(num_attributes, (len(source), 1), generator=generator)
    named |= places == always
    # The words that are named, in their order, then full stops: a stable sort by whether a word is named.
    order = (~named).long().sort(dim=1, stable=True).indices
    description = torch.where(named, source, stop).gather(1, order)
    ends = torch.full((len(source), 1), stop)
    rows = torch.cat([source, torch.full_like(ends, sign), description, ends], 1)
    dataset = dataset_of_sequences(rows, num_attributes + 1, names, generator)
    for split in (dataset.train, dataset.validation, dataset.test):
        behind = split.labels["targets"] == stop
        split.labels["mask"] &= behind.cumsum(1) <= 1
    return dataset
