"""Held-out classes: some classes are in no split, and their test examples become the split ``outliers``.

classes   indices of the classes that are held out; the others keep their order and are numbered from 0 again
Adds      extra["outliers"]: the test examples of these classes, without targets, because no output stands for them
Changes   train, validation and test, whose examples of these classes are left out; mean and standard deviation stay
          those of the whole training split
Source    the open-set protocol of Neal et al. 2018, ECCV, section 4.1: some classes of a data set are the unknown ones
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Len
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets, with_outliers


def held_out_classes(
    dataset: Dataset, generator: Generator, *, classes: Annotated[Sequence[Annotated[int, Ge(0)]], Len(1)] = (8, 9)
) -> Dataset:
    training_targets(dataset, "held_out_classes")
    number = dataset.num_outputs
    held_out = sorted(set(classes))
    if held_out[-1] >= number or number - len(held_out) < 2:
        raise UsageError(
            f"variant.held_out_classes.classes={list(classes)} must be among the classes 0..{number - 1} and leave at "
            "least two of them."
        )
    kept = [c for c in range(number) if c not in held_out]
    renumbered = torch.full((number,), -1)
    renumbered[kept] = torch.arange(len(kept))

    def without(split: Split) -> Split:
        inside = split.select((renumbered[split.labels["targets"]] >= 0).nonzero().flatten())
        labels = {name: values for name, values in inside.labels.items() if name != "labels"}
        for name in ("targets", "clean_targets"):
            if name in labels:
                labels[name] = renumbered[labels[name]]
        return Split(inside.inputs, labels)

    outside = (renumbered[dataset.test.labels["targets"]] < 0).nonzero().flatten()
    made = replace(
        dataset,
        train=without(dataset.train),
        validation=without(dataset.validation),
        test=without(dataset.test),
        num_outputs=len(kept),
        class_names=[dataset.class_names[c] for c in kept] if dataset.class_names else (),
        extra={n: without(split) if "targets" in split.labels else split for n, split in dataset.extra.items()},
    )
    return with_outliers(made, dataset.test.select(outside).inputs, "held_out_classes")
