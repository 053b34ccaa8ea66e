"""Repeated blocks: some training examples occur many times, to see what is learned by heart.

number        of examples, drawn at random, that are repeated
repetitions   how often each of them is in the training split
Adds          the split ``repeated``: these examples, once each; the task measures them like the test split, at the end
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError


def repeated_blocks(
    dataset: Dataset,
    generator: Generator,
    *,
    number: Annotated[int, Ge(1)] = 16,
    repetitions: Annotated[int, Ge(1)] = 20,
) -> Dataset:
    n = len(dataset.train)
    if number > n:
        raise UsageError(
            f"variant.repeated_blocks.number={number}: there are only {n} training examples. Choose a number in 1..{n}."
        )
    chosen = torch.randperm(n, generator=generator)[:number]
    train = dataset.train.select(torch.cat([torch.arange(n), chosen.repeat(repetitions - 1)]))
    return replace(dataset, train=train, extra={**dataset.extra, "repeated": dataset.train.select(chosen)})
