"""Asymmetric label noise: a part of the training targets of a class is replaced by one other class, always the same.

rate      in [0, 1]: exactly round(rate n_c) of the n_c training examples of each source class get the wrong class
pairs     [from, to] classes; null: every class c to c + 1, the last to the first. CIFAR-10's usual ones, classes that
          look alike, are [[9,1],[2,0],[4,7],[3,5],[5,3]]: truck to automobile, bird to airplane, deer to horse, cat to
          dog and back
Adds      labels["clean_targets"], the true classes, to the training split; validation and test stay as they are
Paper     Patrini et al. 2017, arXiv:1609.03683, the asymmetric noise of its experiments
Differs   the number of wrong targets is exact, not random
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets


def asymmetric_label_noise(
    dataset: Dataset,
    generator: Generator,
    *,
    rate: Annotated[float, Interval(ge=0, le=1)] = 0.2,
    pairs: Sequence[Sequence[int]] | None = None,
) -> Dataset:
    targets = training_targets(dataset, "asymmetric_label_noise")
    classes = dataset.num_outputs
    wrong_class = _wrong_classes(pairs, classes)
    order = torch.randperm(len(targets), generator=generator)
    noisy = targets.clone()
    for source, target in wrong_class.items():
        of_class = order[targets[order] == source]
        noisy[of_class[: round(rate * len(of_class))]] = target
    labels = {"clean_targets": targets, **dataset.train.labels, "targets": noisy}
    return replace(dataset, train=Split(dataset.train.inputs, labels))


def _wrong_classes(pairs: Sequence[Sequence[int]] | None, classes: int) -> dict[int, int]:
    if pairs is None:
        return {c: (c + 1) % classes for c in range(classes)}
    found: dict[int, int] = {}
    for pair in pairs:
        if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= c < classes for c in pair) or pair[0] in found:
            raise UsageError(
                f"variant.asymmetric_label_noise.pairs: {list(pair)} is not allowed; it must be [from, to], two "
                f"different classes in 0..{classes - 1}, with each 'from' once."
            )
        found[pair[0]] = pair[1]
    return found
