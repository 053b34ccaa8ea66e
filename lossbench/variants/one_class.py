"""One class: training examples of one class only, and the other classes in validation and test are anomalies.

normal    the class that is normal
Adds      labels["anomalies"] to every split: whether an example is of another class; always false in training. The
          targets are left out, because there is nothing to classify
Changes   train; validation and test keep all their examples. Mean and standard deviation stay those of the whole
          training split, so that they say nothing about which class was chosen
Source    Ruff et al. 2018, ICML, section 4: one class against the rest, on classification data
"""

from dataclasses import replace
from typing import Annotated

from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets


def one_class(dataset: Dataset, generator: Generator, *, normal: Annotated[int, Ge(0)] = 0) -> Dataset:
    targets = training_targets(dataset, "one_class")
    chosen = (targets == normal).nonzero().flatten()
    if not len(chosen):
        raise UsageError(
            f"variant.one_class.normal={normal}: the training split has no example of this class. "
            f"Choose a class in 0..{dataset.num_outputs - 1}."
        )

    def judged(split: Split) -> Split:
        labels = {k: v for k, v in split.labels.items() if k not in ("targets", "labels", "clean_targets")}
        return Split(split.inputs, {**labels, "anomalies": split.labels["targets"] != normal})

    return replace(
        dataset,
        train=judged(dataset.train.select(chosen)),
        validation=judged(dataset.validation),
        test=judged(dataset.test),
        extra={name: judged(split) if "targets" in split.labels else split for name, split in dataset.extra.items()},
    )
