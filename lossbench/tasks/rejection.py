"""Rejection: a model learns which answers of a frozen classifier to accept: those where its score is positive.

Batch       as in classification
predictor   the frozen classifier: {train: [overrides]} or the folder of a finished run. Its errors on what it was
            trained on are not those that it makes elsewhere: variant=calibration_split keeps examples apart for them
cost        in (0, 1): of a rejection, where an accepted wrong answer costs 1; also the error that coverage is read at
Metrics     rejection_loss, the mean of 1[accepted, wrong] + cost 1[rejected]; coverage, the part that is accepted;
            accepted_error, the part of these that is wrong; aurc, of the order of the scores; coverage_at_cost, the
            largest coverage that a threshold on the scores can have with an error of at most cost, and
            confidence_coverage_at_cost, that of a threshold on the classifier's own largest probability
"""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.supervised import SupervisedTask


class Rejection(SupervisedTask):
    batch = ("x", "targets", "ids")
    selection = ("rejection_loss", "lower")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        predictor: nn.Module,
        cost: Annotated[float, Interval(gt=0, lt=1)] = 0.05,
    ):
        self._predictor = predictor.requires_grad_(False).eval().to(device)
        self._cost = cost
        try:
            outputs = self.teacher_logits(torch.zeros(1, *dataset.input_shape, device=device)).shape[-1]
        except RuntimeError:
            outputs = None
        if outputs != dataset.num_outputs:
            raise UsageError(
                f"task.predictor does not read inputs of shape {list(dataset.input_shape)} and answer with one of "
                f"{dataset.num_outputs} classes, as this data set has them. Choose a classifier of the same data set."
            )

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return dataset.input_shape, 1

    def acceptance_scores(self, head: Callable, features: Tensor) -> Tensor:
        return head(features).squeeze(-1)

    def teacher_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._predictor(x)

    def acceptable(self, teacher_logits: Tensor, targets: Tensor) -> Tensor:
        return teacher_logits.argmax(-1) == targets

    def metrics(self, acceptance_scores: Tensor, acceptable: Tensor, teacher_logits: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.selective import rejection_metrics

        return rejection_metrics(acceptance_scores, acceptable, teacher_logits, cost=self._cost)
