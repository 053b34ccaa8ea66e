"""Completions: the completions of a data set of preferences without the preferences, as data for language modelling.

What a reference policy learns before: the samples that the data set has for it, otherwise all completions of its
examples. Only the tokens of completions count as targets.

chosen_only   only the best completion of each training example, as in supervised fine-tuning
"""

import torch
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.preferences import PreferenceDataset, split_of
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError


def completions(dataset: Dataset, generator: Generator, *, chosen_only: bool = False) -> TokenDataset:
    """generator decides nothing."""
    if not isinstance(dataset, PreferenceDataset):
        raise UsageError(
            "variant=completions: this data set has no preferences. Choose one that has, such as dataset=bradley_terry."
        )
    train = _flat(dataset.train, chosen_only)
    if dataset.samples is not None and not chosen_only:
        rows, first = dataset.samples
        starts = torch.full((len(rows), 1), first)
        train = _flat(split_of(rows.unsqueeze(1), starts, torch.full_like(starts, rows.shape[1]), {}), False)
    return TokenDataset(
        train,
        _flat(dataset.validation, chosen_only),
        _flat(dataset.test, chosen_only),
        num_outputs=dataset.num_outputs,
        class_names=dataset.class_names,
        tokenizer=dataset.tokenizer,
    )


def _flat(split: Split, chosen_only: bool) -> Split:
    """Each sequence as an example [T] of its own."""
    assert isinstance(split.inputs, torch.Tensor)
    kept = slice(1) if chosen_only else slice(None)
    return Split(
        split.inputs[:, kept].flatten(0, 1), {k: split.labels[k][:, kept].flatten(0, 1) for k in ("targets", "mask")}
    )
