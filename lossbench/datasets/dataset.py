"""What every data set is: three splits and the facts that models and losses are built from."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Generator, Tensor

from lossbench.errors import UsageError


class LazyInputs(Protocol):
    """Inputs that are read one at a time because they do not fit in memory: image files, mostly."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Tensor:
        """One input; all have the same shape and dtype (uint8 for images)."""


@dataclass
class Split:
    """Inputs and their labels. Labels are always in memory, so that variants can select and edit them.

    inputs  [n, ...] a tensor (uint8 for images, otherwise float32), or LazyInputs
    labels  {word of the vocabulary: [n, ...]}, such as {"targets": [n]}; besides words, "clean_targets" [n] keeps the
            true classes of a training split whose targets a variant has made noisy
    """

    inputs: Tensor | LazyInputs
    labels: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, indices: Tensor) -> "Split":
        """The examples at these indices, in this order."""
        inputs = self.inputs[indices] if isinstance(self.inputs, Tensor) else _Selected(self.inputs, indices)
        return Split(inputs, {name: values[indices] for name, values in self.labels.items()})


class _Selected:
    def __init__(self, inputs: LazyInputs, indices: Tensor):
        self.inputs, self.indices = inputs, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Tensor:
        return self.inputs[int(self.indices[index])]


@dataclass
class Dataset:
    """train, validation, test, and perhaps more. All but train and validation are read once, at the end of a run.

    extra         further splits by name, such as outliers or a shifted copy of the test split; they may lack labels
    num_outputs   classes, labels, or regression targets
    mean, std     of the training inputs; inputs are standardised with them just before the model sees them. They
                  broadcast against one input: [channels, 1, 1] for images, [features] for rows, [] for one number
                  for all. None leaves the inputs as they are.
    target_scale  units of one standardised regression target, [P]; None where it does not apply
    class_names   names of the classes or labels, where the data set has them
    value_range   least and greatest value that an input can have, before it is standardised; images of bytes have
                  (0, 255) without saying so, None is for inputs without a range
    """

    train: Split
    validation: Split
    test: Split
    num_outputs: int
    mean: Tensor | None = None
    std: Tensor | None = None
    target_scale: Tensor | None = None
    class_names: Sequence[str] = field(default_factory=tuple)
    extra: Mapping[str, Split] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.train.inputs[0].shape)

    @property
    def class_counts(self) -> Tensor:
        """Training examples of each class, [C], at least 1 so that a loss may divide by them."""
        if "targets" in self.train.labels:
            counts = torch.bincount(self.train.labels["targets"].flatten(), minlength=self.num_outputs).float()
        elif "labels" in self.train.labels:
            counts = self.train.labels["labels"].flatten(0, -2).sum(0)
        else:
            raise UsageError("class_counts: this data set has no classes. Choose a loss that does not need them.")
        return counts.clamp(min=1)

    @property
    def num_groups(self) -> int:
        """Groups that examples belong to, in any split; 0 where the data set has none."""
        splits = (self.train, self.validation, self.test, *self.extra.values())
        return max((int(s.labels["groups"].max()) + 1 for s in splits if len(s.labels.get("groups", ()))), default=0)

    @property
    def group_counts(self) -> Tensor:
        """Training examples of each group, [G], at least 1; [0] where the data set has no groups."""
        groups = self.train.labels.get("groups", torch.zeros(0, dtype=torch.long))
        return torch.bincount(groups, minlength=self.num_groups).float().clamp(min=1)


def split_indices(
    n: int, fractions: Sequence[float], generator: Generator, targets: Tensor | None = None
) -> list[Tensor]:
    """Random disjoint index sets of the given fractions of n, one more for the rest; stratified by class if targets.

    fractions (0.2, 0.2) gives [20 %, 20 %, the remaining 60 %]. Indices within a part are in ascending order.
    """
    if targets is None:
        order = torch.randperm(n, generator=generator)
        groups = [order]
    else:
        shuffled = torch.randperm(n, generator=generator)
        groups = [shuffled[targets[shuffled] == c] for c in targets.unique()]
    parts: list[list[Tensor]] = [[] for _ in range(len(fractions) + 1)]
    for group in groups:
        start = 0
        for part, fraction in zip(parts, fractions, strict=False):
            stop = start + round(fraction * len(group))
            part.append(group[start:stop])
            start = stop
        parts[-1].append(group[start:])
    return [torch.cat(part).sort().values for part in parts]


def sample_indices(n: int, number: int, generator: Generator, targets: Tensor | None = None) -> Tensor:
    """Exactly ``number`` random ones of n indices, ascending; with targets, each class gets its share within one."""
    order = torch.randperm(n, generator=generator)
    if targets is None:
        return order[:number].sort().values
    counts = torch.bincount(targets)
    quota = counts.double() * number / n
    chosen = quota.floor().long()
    # The largest remainders are rounded up; of equal ones those of the first classes.
    rounded_up = (quota - chosen).sort(descending=True, stable=True).indices[: number - int(chosen.sum())]
    chosen[rounded_up] += 1
    parts = [order[targets[order] == c][: int(chosen[c])] for c in range(len(counts))]
    return torch.cat(parts).sort().values


def carve(split: Split, fraction: float, generator: Generator) -> tuple[Split, Split]:
    """A random part of this fraction, at least one example, stratified by class where there are targets; the rest."""
    number = max(1, round(fraction * len(split)))
    part = sample_indices(len(split), number, generator, split.labels.get("targets"))
    rest = torch.ones(len(split), dtype=torch.bool)
    rest[part] = False
    return split.select(part), split.select(rest.nonzero().flatten())


def read(inputs: LazyInputs, indices: Sequence[int]) -> Tensor:
    """These inputs as one tensor, [len(indices), ...]. Threads: decoding an image releases the interpreter."""
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        return torch.stack(list(pool.map(inputs.__getitem__, indices)))


def mean_and_std(inputs: Tensor | LazyInputs, sample: int = 1000) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation as ``Dataset`` wants them: per channel of images, per feature of rows.

    Of all inputs that are a tensor. Of LazyInputs only ``sample`` are read, evenly spaced, always the same ones: an
    estimate. Where an input never changes, the standard deviation is given as 1, so that it becomes 0.
    """
    if not isinstance(inputs, Tensor):
        count = min(sample, len(inputs))
        inputs = read(inputs, torch.linspace(0, len(inputs) - 1, count, dtype=torch.float64).long().tolist())
    if inputs.dtype == torch.uint8:
        mean, std = _mean_and_std_of_bytes(inputs)
    else:
        axes = (0, *range(2, inputs.ndim))
        std, mean = (t[0] for t in torch.std_mean(inputs, axes, keepdim=True))
    return mean, torch.where(std > 0, std, 1.0)


def _mean_and_std_of_bytes(images: Tensor) -> tuple[Tensor, Tensor]:
    """From the histogram of each channel: exact, without a copy of the images as floats, four times their size."""
    shape = (-1, *[1] * (images.ndim - 2))
    values = torch.arange(256, dtype=torch.float64)
    shares = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]).double()
    shares = shares / shares.sum(1, keepdim=True)
    mean = shares @ values
    variance = (shares * (values - mean.unsqueeze(1)).square()).sum(1)
    return mean.float().reshape(shape), variance.sqrt().float().reshape(shape)
