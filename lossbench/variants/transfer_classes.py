"""Transfer classes: some classes are not learned, and serve to measure how well the features suit new ones.

classes   indices of the classes that are left out; the others keep their order and are numbered from 0 again
Adds      extra["transfer_train"] and extra["transfer_test"]: the train and test examples of these classes, with
          transfer_targets, their class among them
Changes   train, validation and test, whose examples of these classes are left out; mean and standard deviation stay
          those of the whole training split
Goes with task=transfer_classification
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Len
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets


def transfer_classes(
    dataset: Dataset,
    generator: Generator,
    *,
    classes: Annotated[Sequence[Annotated[int, Ge(0)]], Len(2)] = (5, 6, 7, 8, 9),
) -> Dataset:
    training_targets(dataset, "transfer_classes")
    number = dataset.num_outputs
    new = sorted(set(classes))
    if new[-1] >= number or number - len(new) < 2 or len(new) < 2:
        raise UsageError(
            f"variant.transfer_classes.classes={list(classes)} must be two or more of the classes 0..{number - 1} and "
            "leave at least two of them."
        )
    kept = [c for c in range(number) if c not in new]

    def among(split: Split, chosen: Sequence[int], name: str) -> Split:
        """The examples of these classes, which are numbered from 0 under this name."""
        place = torch.full((number,), -1)
        place[chosen] = torch.arange(len(chosen))
        targets = place[split.labels["targets"]]
        inside = (targets >= 0).nonzero().flatten()
        others = {key: values[inside] for key, values in split.labels.items() if key == "groups"}
        return Split(split.select(inside).inputs, {**others, name: targets[inside]})

    transfer = {
        "transfer_train": among(dataset.train, new, "transfer_targets"),
        "transfer_test": among(dataset.test, new, "transfer_targets"),
    }
    return replace(
        dataset,
        train=among(dataset.train, kept, "targets"),
        validation=among(dataset.validation, kept, "targets"),
        test=among(dataset.test, kept, "targets"),
        num_outputs=len(kept),
        class_names=[dataset.class_names[c] for c in kept] if dataset.class_names else (),
        extra={**dataset.extra, **transfer},
    )
