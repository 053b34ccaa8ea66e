"""Repeated examples: the training split has a few of its examples, in turn, until there are as many as before.

So epochs, steps and the size of a batch stay as they are. Training on one prompt alone (Wang et al. 2025,
arXiv:2504.20571) is number=1: a batch is that prompt, again and again.

number   of examples, drawn at random
places   of the examples in the training split, instead of number; []: number decides
Kept     validation and test stay as they are
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, sample_indices
from lossbench.errors import UsageError


def repeated_examples(
    dataset: Dataset,
    generator: Generator,
    *,
    number: Annotated[int, Ge(1)] = 1,
    places: Sequence[Annotated[int, Ge(0)]] = (),
) -> Dataset:
    n = len(dataset.train)
    if not places and number > n:
        raise UsageError(
            f"variant.repeated_examples.number={number}: there are only {n} training examples. Choose a number "
            f"in 1..{n}."
        )
    if places and max(places) >= n:
        raise UsageError(
            f"variant.repeated_examples.places={list(places)}: there are only {n} training examples. Choose places in "
            f"0..{n - 1}."
        )
    kept = torch.tensor(list(places)) if places else sample_indices(n, number, generator)
    return replace(dataset, train=dataset.train.select(kept[torch.arange(n) % len(kept)]))
