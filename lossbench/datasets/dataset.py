"""What every data set is: three splits and the facts that models and losses are built from."""

from collections.abc import Sequence
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
    labels  {word of the vocabulary: [n, ...]}, such as {"targets": [n]}
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
    """train, validation, test. The test split is read once, at the end of a run.

    num_outputs   classes, labels, or regression targets
    mean, std     of the inputs, per channel (images) or per feature (rows); inputs are standardised with them
                  just before the model sees them. Scalars are allowed; None leaves the inputs as they are.
    target_scale  units of one standardised regression target, [P]; None where it does not apply
    class_names   names of the classes or labels, where the data set has them
    """

    train: Split
    validation: Split
    test: Split
    num_outputs: int
    mean: Tensor | None = None
    std: Tensor | None = None
    target_scale: Tensor | None = None
    class_names: Sequence[str] = field(default_factory=tuple)

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
