"""Random teacher: a student learns, without labels, to answer as a network does that has never been trained.

What it learns is judged by a linear classifier of its features. It starts near the teacher or far from it:

    start = ((1 - distance) teacher + distance other) / sqrt(1 - 2 distance + 2 distance^2)

so that weights keep their size. At distance 0 the student is the teacher, and its gradient is 0 up to rounding, which
optimizers such as Adam make whole steps of.

Batch       as in classification; the loss should leave out the targets: loss=distillation loss.alpha=1
teacher     a network with initial weights: {train: [overrides]} with optimizer.lr=0; the model of the student
other       another one: the same with a seed_offset
distance    in [0, 1]
Metrics     as in distillation (the divergence from the teacher selects), and at the end linear_probe_accuracy of the
            student's features and teacher_probe_accuracy of the teacher's, of classifiers that are fitted to the
            training split; see lossbench/metrics/features.py
"""

import copy
from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.distillation import Distillation

PROBED = {"linear_probe_accuracy": "features", "teacher_probe_accuracy": "teacher_features"}


class RandomTeacher(Distillation):
    selection = ("teacher_divergence", "lower")
    same_model = ("teacher", "other")
    test_splits = ("train",)

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        teacher: nn.Module,
        other: nn.Module,
        distance: Annotated[float, Interval(ge=0, le=1)] = 0.001,
    ):
        super().__init__(dataset, device, teacher=teacher)
        self.start = between(teacher, other, distance)  # what the trained model begins as: the engine copies it

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, teacher_logits: Tensor, features: Tensor, teacher_features: Tensor
    ) -> dict[str, Tensor]:
        return super().metrics(logits, targets, teacher_logits)

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.features import linear_probe_accuracy

        known, test = splits["train"], splits["test"]
        found = super().test_metrics({name: split for name, split in splits.items() if name != "train"})
        for metric, word in PROBED.items():
            fitted_to = known[word], known["targets"]
            found[metric] = linear_probe_accuracy(test[word], test["targets"], self._num_outputs, fitted_to)
        return found


def between(first: nn.Module, second: nn.Module, distance: float) -> nn.Module:
    """A copy of the first with its parameters moved towards those of the second, of their size if both are drawn
    independently. Raises UsageError where they differ in shape."""
    made = copy.deepcopy(first)
    own, other = dict(made.named_parameters()), dict(second.named_parameters())
    if {name: p.shape for name, p in own.items()} != {name: p.shape for name, p in other.items()}:
        raise UsageError("task.other is another model than task.teacher. Give the same overrides, and a seed_offset.")
    size = (1 - 2 * distance + 2 * distance**2) ** 0.5
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(((1 - distance) * parameter + distance * other[name].to(parameter.device)) / size)
    return made
