"""Key symbols: a text of letters, and the capital ones of it, each once, up to a full stop: a summary in small.

    a F c F B d A a > F B A .          order=text

Source    made here
Inputs    [length + num_keys + 1] token indices; targets are the tokens after them, mask is true on the summary and its
          full stop; what is behind is full stops too and does not count
Splits    80 % train, 10 % validation, 10 % test, no text twice
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.sequences import dataset_of_sequences, distinct
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError

END = "."


def key_symbols(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 3000,
    length: Annotated[int, Ge(2)] = 12,
    num_keys: Annotated[int, Interval(ge=2, le=26)] = 6,
    num_fillers: Annotated[int, Interval(ge=1, le=26)] = 6,
    key_rate: Annotated[float, Interval(gt=0, le=1)] = 0.4,
    order: Literal["text", "alphabet", "random"] = "text",
) -> TokenDataset:
    """generator draws the texts, random orders and the split.

    num_examples   texts in all; fewer where one is drawn twice
    length         letters of a text; at least two different ones of them are capital
    num_keys       capital letters
    num_fillers    small letters
    key_rate       probability of each place to be a capital letter
    order          of the summary: of first appearance; of the alphabet; random, so that the summary is a set
    """
    names = [*(chr(ord("A") + i) for i in range(num_keys)), *(chr(ord("a") + i) for i in range(num_fillers)), END, ">"]
    shape = (4 * num_examples, length)
    is_key = torch.rand(shape, generator=generator) < key_rate
    keys = torch.randint(num_keys, shape, generator=generator)
    fillers = num_keys + torch.randint(num_fillers, shape, generator=generator)
    texts = distinct(torch.where(is_key, keys, fillers), generator)
    first = _first_places(texts, num_keys)
    enough = ((first < length).sum(1) >= 2).nonzero().flatten()[:num_examples]
    if len(enough) < 10:
        raise UsageError(
            f"dataset: of {len(texts)} texts only {len(enough)} have two different capital letters. Give a larger "
            "dataset.key_rate, dataset.num_keys or dataset.length."
        )
    texts, first = texts[enough], first[enough]
    there = first < length
    places = first.double()
    if order == "alphabet":
        places = torch.arange(num_keys).expand(first.shape).double()
    elif order == "random":
        places = torch.rand(first.shape, generator=generator, dtype=torch.float64)
    ranked = torch.where(there, places, torch.inf).argsort(1)
    stop = names.index(END)
    numbers = there.sum(1, keepdim=True)
    summary = torch.where(torch.arange(num_keys) < numbers, ranked, stop)
    ends = torch.full((len(texts), 1), stop)
    rows = torch.cat([texts, torch.full_like(ends, names.index(">")), summary, ends], 1)
    dataset = dataset_of_sequences(rows, length + 1, names, generator)
    for split in (dataset.train, dataset.validation, dataset.test):
        ended = split.labels["targets"][:, length:] == stop  # what is behind the first full stop does not count
        split.labels["mask"][:, length:] = ended.cumsum(1) - ended.long() == 0
    return dataset


def _first_places(texts: Tensor, num_keys: int) -> Tensor:
    """[n, num_keys] the place at which each capital letter first appears; the length of the text where it does not."""
    found = texts.unsqueeze(-1) == torch.arange(num_keys)
    places = torch.arange(texts.shape[1]).view(1, -1, 1)
    return torch.where(found, places, texts.shape[1]).amin(1)
