"""Conformal threshold: a model learns the width of the prediction intervals of a frozen regression model.

The interval of an input reaches from the predictor's answer by the threshold to both sides; wanted coverage is level.

Batch       x [B, ...], regression_targets [B, 1], unlabeled_inputs and shifted_inputs [B, ...], ids [B]
predictor   the frozen regression model: {train: [overrides]} or the folder of a finished run; of other examples, as
            errors on what it was trained on are too small: variant=calibration_split
level       in (0, 1): wanted coverage
ratios      likelihood_ratios are p / (1 - p), p the probability that logistic regression, with the ridge penalty of
            scikit-learn's default, gives an input to be one of shifted_inputs and not of unlabeled_inputs
Metrics     coverage, coverage_gap, mean_threshold, pinball; see lossbench/metrics/conformal.py
Paper       the score |y - prediction| and the estimate of the ratios: Joshi et al. 2025, arXiv:2502.13030, section 5
"""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.ranking import precise
from lossbench.tasks.supervised import SupervisedTask

NEWTON_STEPS = 12


class ConformalThreshold(SupervisedTask):
    batch = ("x", "regression_targets", "unlabeled_inputs", "shifted_inputs", "ids")
    selection = ("pinball", "lower")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        predictor: nn.Module,
        level: Annotated[float, Interval(gt=0, lt=1)] = 0.9,
    ):
        self._predictor = predictor.requires_grad_(False).eval().to(device)
        self._level = level
        labels = dataset.train.labels
        if not {"unlabeled_inputs", "shifted_inputs"} <= labels.keys():
            raise UsageError(
                "task=conformal_threshold needs a data set with unlabelled inputs of both distributions. "
                "Use dataset=covariate_shift."
            )
        self._mean, self._std = (None if t is None else t.to(device) for t in (dataset.mean, dataset.std))
        unlabeled, shifted = (labels[name].to(device) for name in ("unlabeled_inputs", "shifted_inputs"))
        self._log_ratio = domain_classifier(self._standardised(unlabeled), self._standardised(shifted))

    def _standardised(self, inputs: Tensor) -> Tensor:
        centred = inputs if self._mean is None else inputs - self._mean
        return centred if self._std is None else centred / self._std

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return dataset.input_shape, 1

    def thresholds(self, head: Callable, features: Tensor) -> Tensor:
        return head(features).squeeze(-1)

    def unlabeled_thresholds(self, body: Callable, head: Callable, unlabeled_inputs: Tensor) -> Tensor:
        return head(body(self._standardised(unlabeled_inputs))).squeeze(-1)

    def shifted_thresholds(self, body: Callable, head: Callable, shifted_inputs: Tensor) -> Tensor:
        return head(body(self._standardised(shifted_inputs))).squeeze(-1)

    def nonconformity_scores(self, x: Tensor, regression_targets: Tensor) -> Tensor:
        with torch.no_grad():
            return (regression_targets - self._predictor(x)).abs().squeeze(-1)

    def likelihood_ratios(self, x: Tensor) -> Tensor:
        rows = x.flatten(1)
        return (rows @ self._log_ratio[:-1] + self._log_ratio[-1]).exp()

    def metrics(self, thresholds: Tensor, nonconformity_scores: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.conformal import threshold_metrics

        return threshold_metrics(thresholds, nonconformity_scores, level=self._level)


def domain_classifier(source: Tensor, target: Tensor) -> Tensor:
    """Weights and bias, [X + 1], of the log-odds that an input is one of ``target``, were both equally frequent.

    Logistic regression by Newton's method in float64: sum of the log losses plus half the squared weights (bias apart).
    """
    rows = precise(torch.cat([source, target]).flatten(1))
    rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
    targets = precise(torch.arange(len(rows), device=rows.device) >= len(source))
    ridge = torch.ones_like(rows[0])
    ridge[-1] = 0
    weights = torch.zeros_like(ridge)
    for _ in range(NEWTON_STEPS):
        p = torch.sigmoid(rows @ weights)
        slope = rows.T @ (p - targets) + ridge * weights
        curvature = (rows.T * (p * (1 - p))) @ rows + torch.diag(ridge)
        weights = weights - torch.linalg.solve(curvature, slope)
    weights[-1] -= math.log(len(target) / len(source))
    return weights.float()
