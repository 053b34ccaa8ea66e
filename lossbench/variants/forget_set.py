"""Forget set: some training examples are marked as what a trained model is to unlearn; the others are the retain set.

classes           only examples of these classes can be marked; []: of all
groups            only examples of these groups can be marked; []: of all
fraction          in (0, 1]: part of these that is, drawn at random; of examples with a class, each class its share
keep              what the training split has. all: everything, for a model that has seen the forget set. retain: the
                  retain set alone, for one that never has. The set is the same with both
retain_per_forget so many retained examples for each marked one, drawn at random, instead of all of them; null: all.
                  With 1, unlearning sees as much of both
Adds              the label ``forgotten`` [n] of training examples; extra["forget"] and extra["retain"], the training
                  examples of both kinds; where whole classes or groups are marked, extra["unseen_forget"] and
                  extra["unseen_retain"], the test examples of these and of the others
Kept              validation and test stay as they are
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split, sample_indices
from lossbench.errors import UsageError


def forget_set(
    dataset: Dataset,
    generator: Generator,
    *,
    classes: Sequence[Annotated[int, Ge(0)]] = (),
    groups: Sequence[Annotated[int, Ge(0)]] = (),
    fraction: Annotated[float, Interval(gt=0, le=1)] = 0.1,
    keep: Literal["all", "retain"] = "all",
    retain_per_forget: Annotated[float, Gt(0)] | None = None,
) -> Dataset:
    if "forget" in dataset.extra:
        raise UsageError("variant=forget_set: another variant has made a forget set already. Choose one of them.")
    train = dataset.train
    chosen = {"targets": classes, "groups": groups}
    possible = _belongs(train, chosen).nonzero().flatten()
    number = max(1, round(fraction * len(possible))) if len(possible) else 0
    if not 0 < number < len(train):
        raise UsageError(
            f"variant.forget_set: {number} of {len(train)} training examples would be forgotten, and some must be, but "
            "not all. Choose other classes, groups or another fraction."
        )
    targets = train.labels.get("targets")
    stratified = targets[possible] if targets is not None and targets.ndim == 1 else None
    drawn = sample_indices(len(possible), number, generator, stratified)
    forgotten = torch.zeros(len(train), dtype=torch.bool)
    forgotten[possible[drawn]] = True
    marked = Split(train.inputs, {**train.labels, "forgotten": forgotten})
    retained = (~forgotten).nonzero().flatten()
    extra = {"forget": marked.select(possible[drawn]), "retain": marked.select(retained)}
    if fraction == 1:
        unseen = _belongs(dataset.test, chosen)
        if unseen.any() and not unseen.all():
            extra["unseen_forget"] = dataset.test.select(unseen.nonzero().flatten())
            extra["unseen_retain"] = dataset.test.select((~unseen).nonzero().flatten())
    if keep == "retain":
        marked = extra["retain"]
    elif retain_per_forget is not None:
        wanted = max(1, round(retain_per_forget * number))
        if wanted > len(retained):
            raise UsageError(
                f"variant.forget_set.retain_per_forget={retain_per_forget:g}: that is {wanted} examples, and only "
                f"{len(retained)} are retained. Choose a smaller number, or null for all of them."
            )
        sampled = retained[sample_indices(len(retained), wanted, generator)]
        marked = marked.select(torch.cat([possible[drawn], sampled]).sort().values)
    return replace(dataset, train=marked, extra={**dataset.extra, **extra})


def _belongs(split: Split, chosen: dict[str, Sequence[int]]) -> Tensor:
    """[n] whether each example is of one of the classes and of one of the groups, where some are given."""
    inside = torch.ones(len(split), dtype=torch.bool)
    for label, values in chosen.items():
        if not values:
            continue
        if label not in split.labels or split.labels[label].ndim != 1:
            key = "classes" if label == "targets" else "groups"
            raise UsageError(
                f"variant.forget_set.{key}={list(values)}: the examples of this data set have no {key}, their labels "
                f"are {', '.join(split.labels)}. Leave {key} out, or choose another data set."
            )
        inside &= torch.isin(split.labels[label], torch.tensor(list(values)))
    return inside
