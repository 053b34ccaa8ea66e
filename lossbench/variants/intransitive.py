"""Intransitive: preferences that go in circles, on top of those that follow from the rewards.

    P(y before y' | x) = sigmoid(r(x, y) - r(x, y') + c(x, y, y'))        c(x, y, y') = -c(x, y', y)

c is normal with the standard deviation ``scale``, independent for each prompt and each pair of completions. The pairs
of all splits are put in order anew by these preferences. The rewards, and what is measured by them, stay as they are:
they are a part of the preferences only, and for dataset.reward_scale near 0 none of them.

scale   standard deviation of the circular part, in log-odds; 0 leaves the Bradley-Terry model
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.preferences import PreferenceDataset, Truth, margins_of
from lossbench.errors import UsageError

MOST_PREFERENCES = 2**24


def intransitive(dataset: Dataset, generator: Generator, *, scale: Annotated[float, Ge(0)] = 2.0) -> PreferenceDataset:
    """generator draws the circular part and the preferences of the pairs."""
    truth = getattr(dataset, "truth", None)
    if not isinstance(dataset, PreferenceDataset) or truth is None or dataset.input_shape[0] != 2:
        raise UsageError(
            "variant=intransitive needs pairs whose true preferences are known. Choose dataset=bradley_terry with "
            "dataset.completions=2."
        )
    prompts, completions = truth.rewards.shape
    if prompts * completions**2 > MOST_PREFERENCES:
        raise UsageError(
            f"variant=intransitive: {prompts} prompts and {completions} completions have {prompts * completions**2} "
            f"preferences; at most {MOST_PREFERENCES} are possible. Give fewer dataset.num_symbols, or a shorter "
            "dataset.completion_length."
        )
    drawn = torch.randn((prompts, completions, completions), generator=generator, dtype=torch.float64)
    above = drawn.triu(1)
    log_odds = truth.rewards.unsqueeze(-1) - truth.rewards.unsqueeze(-2) + scale * (above - above.mT)
    table = log_odds.sigmoid()
    splits = [_ordered(s, dataset, truth, table, generator) for s in (dataset.train, dataset.validation, dataset.test)]
    return replace(
        dataset, train=splits[0], validation=splits[1], test=splits[2], truth=replace(truth, preferences=table)
    )


def _ordered(split: Split, dataset: PreferenceDataset, truth: Truth, table: Tensor, generator: Generator) -> Split:
    """The pairs of the split, with a preference drawn for each."""
    assert isinstance(split.inputs, Tensor)
    length = truth.completions.shape[1]
    digits = dataset.num_outputs ** torch.arange(length - 1, -1, -1)
    indices = (split.labels["targets"][..., -length:].long() * digits).sum(-1)  # completions are in that order
    asked = split.labels["prompt_ids"]
    stays = (
        torch.rand(len(indices), generator=generator, dtype=torch.float64) < table[asked, indices[:, 0], indices[:, 1]]
    )
    order = torch.stack([~stays, stays], 1).long()
    scores = truth.rewards[asked].gather(1, indices.gather(1, order))

    def ordered(tensor: Tensor) -> Tensor:
        return tensor.gather(1, order.unsqueeze(-1).expand_as(tensor))

    labels = {name: ordered(split.labels[name]) for name in ("targets", "mask")}
    return Split(ordered(split.inputs), {**split.labels, **labels, "reward_margins": margins_of(scores)})
