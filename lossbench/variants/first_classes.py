"""First classes: a data set of only the first classes, in every split: what an old model knew before others were added.

number    >= 2: classes that are kept, 0..number - 1
Kept      their examples in train, validation, test and further splits that have targets; mean and deviation stay those
          of the whole training split, so that a model of the first classes reads inputs as one of all classes does
"""

from dataclasses import replace
from typing import Annotated

from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets


def first_classes(dataset: Dataset, generator: Generator, *, number: Annotated[int, Ge(2)] = 5) -> Dataset:
    training_targets(dataset, "first_classes")
    if number > dataset.num_outputs:
        raise UsageError(
            f"variant.first_classes.number={number}: there are only {dataset.num_outputs} classes. "
            f"Choose a number in 2..{dataset.num_outputs}."
        )

    def kept(split: Split) -> Split:
        if "targets" not in split.labels:
            return split
        return split.select((split.labels["targets"] < number).nonzero().flatten())

    return replace(
        dataset,
        train=kept(dataset.train),
        validation=kept(dataset.validation),
        test=kept(dataset.test),
        extra={name: kept(split) for name, split in dataset.extra.items()},
        num_outputs=number,
        class_names=dataset.class_names[:number],
    )
