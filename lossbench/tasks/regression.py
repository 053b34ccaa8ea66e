"""Regression: real-valued targets, standardised for training; metrics are in the original units.

Batch       x [B, ...], regression_targets [B, P], ids [B]
Metrics     see lossbench/metrics/regression.py
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.supervised import SupervisedTask


class Regression(SupervisedTask):
    batch = ("x", "regression_targets", "ids")
    selection = ("rmse", "lower")

    def __init__(self, dataset: Dataset, device: torch.device):
        self._scale = None if dataset.target_scale is None else dataset.target_scale.to(device)

    def predictions(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def metrics(self, predictions: Tensor, regression_targets: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.regression import regression_metrics

        return regression_metrics(predictions, regression_targets, scale=self._scale)
