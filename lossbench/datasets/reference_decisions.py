"""Reference decisions: two groups, and what many fallible decision-makers decided about the same examples.

The examples are those of two_groups. Decision-maker j learned a logistic regression from a random half of the training
examples, with a part ``noise`` of its labels wrong. It decides for those that score highest within their group, as many
in each group as it would choose of all with one threshold (demographic parity), but takes a part ``noise`` of the
examples for members of the other group.

Task      classification: 2 classes, 2 groups; demonstrations [n, J] are the decisions, 1 for the positive class
Source    lossbench's own, after Memarrast et al. 2023, arXiv:2301.13420, whose decision-makers are post-processed
          logistic regressions with noise 0.2 in labels and groups
Licence   made here
Inputs    [8]
Splits    60/20/20 %, independent draws
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.two_groups import two_groups

NEWTON_STEPS = 25
RIDGE = 1e-2  # of the logistic regressions: their C = 100


def reference_decisions(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(50)] = 5000,
    num_demonstrations: Annotated[int, Ge(1)] = 50,
    noise: Annotated[float, Interval(ge=0, lt=0.5)] = 0.2,
) -> Dataset:
    """generator draws the examples, then the decision-makers.

    num_examples         of train, validation and test together
    num_demonstrations   decision-makers
    noise                part of the labels that they learn from, and of the groups that they see, that are wrong
    """
    dataset = two_groups(generator=generator, num_examples=num_examples)
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    decided: dict[str, list[Tensor]] = {name: [] for name in splits}
    for _ in range(num_demonstrations):
        weights = _learn(dataset.train, noise, generator)
        for name, split in splits.items():
            decided[name].append(_decide(split, weights, noise, generator))
    train, validation, test = (
        Split(split.inputs, {**split.labels, "demonstrations": torch.stack(decided[name], 1)})
        for name, split in splits.items()
    )
    return replace(dataset, train=train, validation=validation, test=test)


def _learn(split: Split, noise: float, generator: Generator) -> Tensor:
    """The weights, with the intercept last, of a logistic regression on a random half; by Newton's method."""
    half = torch.randperm(len(split), generator=generator)[: len(split) // 2]
    x, y = _with_intercept(split.inputs)[half], split.labels["targets"][half].double()
    wrong = torch.rand(len(half), generator=generator) < noise
    y = torch.where(wrong, 1 - y, y)
    weights = torch.zeros(x.shape[1], dtype=torch.float64)
    for _ in range(NEWTON_STEPS):
        p = torch.sigmoid(x @ weights)
        gradient = x.mT @ (p - y) + RIDGE * weights
        hessian = (x * (p * (1 - p))[:, None]).mT @ x + RIDGE * torch.eye(x.shape[1], dtype=torch.float64)
        weights = weights - torch.linalg.solve(hessian, gradient)
    return weights


def _decide(split: Split, weights: Tensor, noise: float, generator: Generator) -> Tensor:
    scores = _with_intercept(split.inputs) @ weights
    part = (scores > 0).double().mean()
    seen = split.labels["groups"] ^ (torch.rand(len(split), generator=generator) < noise).long()
    decisions = torch.zeros(len(split))
    for group in (0, 1):
        own = (seen == group).nonzero().flatten()
        chosen = scores[own].argsort(descending=True)[: round(float(part) * len(own))]
        decisions[own[chosen]] = 1
    return decisions


def _with_intercept(inputs: object) -> Tensor:
    assert isinstance(inputs, Tensor)
    return torch.cat([inputs.double(), torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
