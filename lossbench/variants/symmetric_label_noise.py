"""Symmetric label noise: a part of the training targets is replaced by another class, each other class equally likely.

rate      in [0, 1]: exactly round(rate n) of the n training examples get a wrong class
Adds      labels["clean_targets"], the true classes, to the training split; validation and test stay as they are
Paper     Patrini et al. 2017, arXiv:1609.03683, the symmetric noise of its experiments
Differs   the number of wrong targets is exact, not random; they are wrong always, while some papers draw the new class
          from all C, the true one included: their rate r is a rate of r (C - 1) / C here
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.variants.variant import training_targets


def symmetric_label_noise(
    dataset: Dataset, generator: Generator, *, rate: Annotated[float, Interval(ge=0, le=1)] = 0.2
) -> Dataset:
    targets = training_targets(dataset, "symmetric_label_noise")
    chosen = torch.randperm(len(targets), generator=generator)[: round(rate * len(targets))]
    # Adding 1..C-1 to the class, modulo C, gives each other class with equal probability.
    shift = torch.randint(1, dataset.num_outputs, (len(chosen),), generator=generator)
    noisy = targets.clone()
    noisy[chosen] = (targets[chosen] + shift) % dataset.num_outputs
    labels = {"clean_targets": targets, **dataset.train.labels, "targets": noisy}
    return replace(dataset, train=Split(dataset.train.inputs, labels))
