"""Unpaired: single completions that are desirable or not, from pairs of preferences; for losses that need no pairs.

Every training pair becomes two examples, a desirable and an undesirable one, of which a random part is kept. The
validation and the test split stay pairs: what is measured there does not depend on the form of the training data.

desirable     part of the desirable completions that is kept
undesirable   part of the undesirable completions that is kept
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.preferences import PreferenceDataset
from lossbench.errors import UsageError

NOT_OF_ONE = ("reward_margins",)  # labels of a pair


def unpaired(
    dataset: Dataset,
    generator: Generator,
    *,
    desirable: Annotated[float, Interval(gt=0, le=1)] = 1.0,
    undesirable: Annotated[float, Interval(gt=0, le=1)] = 1.0,
) -> Dataset:
    """generator chooses the completions that are kept."""
    inputs = dataset.train.inputs
    if not isinstance(dataset, PreferenceDataset) or not isinstance(inputs, Tensor) or inputs.shape[1] != 2:
        raise UsageError(
            "variant=unpaired: this data set has no training pairs. Choose one that has, such as dataset=bradley_terry "
            "with dataset.completions=2."
        )
    n = len(dataset.train)
    kept = [torch.randperm(n, generator=generator)[: max(1, round(p * n))] for p in (desirable, undesirable)]
    pairs, sides = torch.cat(kept), torch.arange(2).repeat_interleave(torch.tensor([len(k) for k in kept]))
    shared = {k: v[pairs] for k, v in dataset.train.labels.items() if k not in ("targets", "mask", *NOT_OF_ONE)}
    sequences = {k: dataset.train.labels[k][pairs, sides].unsqueeze(1) for k in ("targets", "mask")}
    train = Split(inputs[pairs, sides].unsqueeze(1), {**sequences, **shared, "desirable": sides == 0})
    return replace(dataset, train=train)
