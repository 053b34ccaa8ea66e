"""Class pair: two of the classes, 0 and 1 from now on, in all splits.

first      the class that becomes 0             second     the class that becomes 1; another one
Kept      all examples of the two classes, in their order; mean and deviation of the inputs stay those of all classes
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets


def class_pair(
    dataset: Dataset, generator: Generator, *, first: Annotated[int, Ge(0)] = 0, second: Annotated[int, Ge(0)] = 1
) -> Dataset:
    training_targets(dataset, "class_pair")
    classes = dataset.num_outputs
    if first == second or max(first, second) >= classes:
        raise UsageError(
            f"variant.class_pair: first={first} and second={second} are not allowed; they must be two different "
            f"classes in 0..{classes - 1}."
        )

    def of_pair(split: Split) -> Split:
        targets = split.labels["targets"]
        kept = split.select(((targets == first) | (targets == second)).nonzero().flatten())
        return Split(kept.inputs, {**kept.labels, "targets": (kept.labels["targets"] == second).to(torch.long)})

    return replace(
        dataset,
        train=of_pair(dataset.train),
        validation=of_pair(dataset.validation),
        test=of_pair(dataset.test),
        num_outputs=2,
        class_names=[dataset.class_names[c] for c in (first, second)] if dataset.class_names else (),
    )
