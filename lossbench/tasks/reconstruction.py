"""Reconstruction: a model gives its inputs back through a narrow place; anomalies are what it gives back badly.

The outputs are the model's reconstruction of the flattened, standardised inputs: model=autoencoder, or any model. Every
loss on predictions and regression_targets fits, for these are the reconstruction and the input.

Batch       x [B, ...], ids [B]; where the data set has them (variant=one_class): anomalies [B]
Metrics     reconstruction_error: mean squared error of what is no anomaly, in standardised units; with anomalies also
            anomaly_auroc, anomaly_aupr and anomaly_fpr95 of an example's error, see lossbench/metrics/outliers.py
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.supervised import SupervisedTask


class Reconstruction(SupervisedTask):
    batch = ("x", "ids")
    selection = ("reconstruction_error", "lower")

    def __init__(self, dataset: Dataset, device: torch.device):
        pass

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return dataset.input_shape, math.prod(dataset.input_shape)

    def predictions(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def regression_targets(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def metrics(
        self, predictions: Tensor, regression_targets: Tensor, anomalies: Tensor | None = None
    ) -> dict[str, Tensor]:
        from lossbench.metrics.outliers import detection_metrics
        from lossbench.metrics.ranking import mean_where, nan_unless, precise

        errors = (precise(predictions) - precise(regression_targets)).square().mean(-1)
        if anomalies is None:
            return {"reconstruction_error": errors.mean()}
        found = {f"anomaly_{name}": value for name, value in detection_metrics(errors, anomalies).items()}
        return nan_unless(errors.isfinite().all(), {"reconstruction_error": mean_where(errors, ~anomalies), **found})
