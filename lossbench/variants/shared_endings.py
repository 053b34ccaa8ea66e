"""Shared endings: both completions of a pair end alike, as two answers that differ in a word and say the same after it.

The last symbols of the second completion become those of the first, and the preference is drawn anew, by the true
rewards. All splits.

length   symbols at the end that are the same; less than a completion has. 0 only draws the preferences anew
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.preferences import PreferenceDataset, indices_of, split_of_indices
from lossbench.errors import UsageError


def shared_endings(dataset: Dataset, generator: Generator, *, length: Annotated[int, Ge(0)] = 1) -> PreferenceDataset:
    """generator draws the preferences."""
    truth = getattr(dataset, "truth", None)
    if not isinstance(dataset, PreferenceDataset) or truth is None or dataset.input_shape[0] != 2:
        raise UsageError(
            "variant=shared_endings needs pairs whose true preferences are known. Choose dataset=bradley_terry with "
            "dataset.completions=2."
        )
    if length >= truth.completions.shape[1]:
        raise UsageError(
            f"variant.shared_endings.length={length}: completions have {truth.completions.shape[1]} symbols, and would "
            f"be the same. Give at most {truth.completions.shape[1] - 1}."
        )
    block = dataset.num_outputs**length  # completions with the same beginning are neighbours, in the order of endings
    table = truth.preference_table()

    def made(split: Split) -> Split:
        asked, indices = split.labels["prompt_ids"], indices_of(split, truth)
        first, second = indices.unbind(1)
        second = second - second % block + first % block
        stays = torch.rand(len(first), generator=generator, dtype=torch.float64) < table[asked, first, second]
        pairs = torch.where(stays.unsqueeze(1), torch.stack([first, second], 1), torch.stack([second, first], 1))
        return split_of_indices(asked, pairs, truth)

    splits = [made(split) for split in (dataset.train, dataset.validation, dataset.test)]
    return replace(dataset, train=splits[0], validation=splits[1], test=splits[2])
