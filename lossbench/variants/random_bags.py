"""Random bags: the training examples come in bags of equal size, of which only the class proportions are known.

size      >= 1: members of a bag; 1 keeps what is known of each example
Made      bags without replacement: examples in random order, cut every ``size``; the rest, fewer than ``size``, is left
          out. inputs [bags, size, ...], labels {"proportions": [bags, C]} and nothing else
Kept      validation and test stay single examples, as they are; so does the mean and deviation of the inputs
Goes with task=label_proportions
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.ops import one_hot
from lossbench.variants.variant import training_targets


def random_bags(dataset: Dataset, generator: Generator, *, size: Annotated[int, Ge(1)] = 8) -> Dataset:
    targets = training_targets(dataset, "random_bags")
    inputs = dataset.train.inputs
    if not isinstance(inputs, Tensor):
        raise UsageError(
            "variant=random_bags: the inputs of this data set are read one at a time. Choose one that is in memory."
        )
    number = len(targets) // size
    if not number:
        raise UsageError(
            f"variant.random_bags.size={size}: there are only {len(targets)} training examples. Choose a smaller bag."
        )
    members = torch.randperm(len(targets), generator=generator)[: number * size].reshape(number, size)
    proportions = one_hot(targets[members], dataset.num_outputs).mean(1)

    def beside_members(statistic: Tensor | None) -> Tensor | None:
        """Of rows: [1, features], which fits a bag [size, features] as well as a single row."""
        return statistic.unsqueeze(0) if statistic is not None and statistic.ndim == inputs.ndim - 1 == 1 else statistic

    train = Split(inputs[members], {"proportions": proportions})
    return replace(dataset, train=train, mean=beside_members(dataset.mean), std=beside_members(dataset.std))
