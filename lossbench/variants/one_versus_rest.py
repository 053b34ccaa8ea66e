"""One versus rest: some classes become the positives of a binary problem, all others its negatives.

positive       the class that is positive, or a list of classes
encoding       targets: class 1 is positive, class 0 negative, for task=classification (two outputs).
               labels: one label, 1 for positives, for task=multilabel (one output); that task must be chosen too
positive_rate  in (0, 1): so many of the examples of each split are to be positive; positives are left out at random, or
               negatives where there are too few positives, at least one of each being kept. null: as they are
Changes        all splits: they have to be the same problem
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets


def one_versus_rest(
    dataset: Dataset,
    generator: Generator,
    *,
    positive: Annotated[int, Ge(0)] | Sequence[Annotated[int, Ge(0)]] = 0,
    encoding: Literal["targets", "labels"] = "targets",
    positive_rate: Annotated[float, Interval(gt=0, lt=1)] | None = None,
) -> Dataset:
    training_targets(dataset, "one_versus_rest")
    classes = [positive] if isinstance(positive, int) else list(positive)
    if not 0 < len(set(classes)) < dataset.num_outputs or max(classes) >= dataset.num_outputs:
        raise UsageError(
            f"variant.one_versus_rest.positive={positive} is not allowed; it must be some, but not all, of the classes "
            f"0..{dataset.num_outputs - 1}."
        )
    chosen = torch.tensor(sorted(set(classes)))

    def binary(split: Split) -> Split:
        if "targets" not in split.labels:
            return split
        is_positive = torch.isin(split.labels["targets"], chosen)
        others = {name: values for name, values in split.labels.items() if name not in ("targets", "clean_targets")}
        own = is_positive.long() if encoding == "targets" else is_positive.float().unsqueeze(1)
        changed = Split(split.inputs, {encoding: own, **others})
        return changed if positive_rate is None else changed.select(_with_rate(is_positive, positive_rate, generator))

    names = [dataset.class_names[c] for c in chosen] if dataset.class_names else [str(int(c)) for c in chosen]
    label = " or ".join(names)
    return replace(
        dataset,
        train=binary(dataset.train),
        validation=binary(dataset.validation),
        test=binary(dataset.test),
        extra={name: binary(split) for name, split in dataset.extra.items()},
        num_outputs=2 if encoding == "targets" else 1,
        class_names=["rest", label] if encoding == "targets" else [label],
    )


def _with_rate(is_positive: torch.Tensor, rate: float, generator: Generator) -> torch.Tensor:
    """Indices, ascending, of as many examples as can be with this part of positives."""
    order = torch.randperm(len(is_positive), generator=generator)
    positives, negatives = order[is_positive[order]], order[~is_positive[order]]
    wanted = round(len(negatives) * rate / (1 - rate))
    if wanted <= len(positives):
        positives = positives[: max(wanted, 1)]
    else:
        negatives = negatives[: max(round(len(positives) * (1 - rate) / rate), 1)]
    return torch.cat([positives, negatives]).sort().values
