"""Completions: of a data set of preferences or prompts, the completions alone, as data for language modelling.

What a reference policy learns before: the samples that the data set has for it, otherwise all completions of its
examples. Only the tokens of completions count as targets. Of the samples of prompts, a tenth each is kept for
validation and test.

chosen_only   only the best completion of each training example, as in supervised fine-tuning
"""

import torch
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.preferences import PreferenceDataset, split_of
from lossbench.datasets.prompts import PromptDataset, Samples, three_parts
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError


def completions(dataset: Dataset, generator: Generator, *, chosen_only: bool = False) -> TokenDataset:
    """generator decides nothing."""
    if isinstance(dataset, PromptDataset) and dataset.samples is not None:
        return _of_prompts(dataset, dataset.samples)
    if not isinstance(dataset, PreferenceDataset):
        raise UsageError(
            "variant=completions: this data set has neither preferences nor samples of completions. Choose one that "
            "has, such as dataset=bradley_terry or dataset=sorting_prompts."
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


def _of_prompts(dataset: PromptDataset, samples: Samples) -> TokenDataset:
    whole = split_of(samples.rows.unsqueeze(1), samples.starts.unsqueeze(1), samples.stops.unsqueeze(1), {})
    flat = _flat(whole, False)
    train, validation, test = (
        flat.select(part) for part in torch.arange(len(flat)).split(list(three_parts(len(flat))))
    )
    return TokenDataset(
        train,
        validation,
        test,
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
