"""One class: a classifier of what is normal against what is not, trained on normal examples alone.

The head has two outputs, normal and not, and may have more behind them (head=hyperbolic has the point of its ball); the
loss makes its own negatives. An example is the more anomalous the larger the second logit is over the first.

Batch       x [B, ...], ids [B]; anomalies [B] in validation and test, as variant=one_class makes them
Metrics     anomaly_auroc, anomaly_aupr, anomaly_fpr95; see lossbench/metrics/outliers.py
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.supervised import SupervisedTask


class OneClass(SupervisedTask):
    batch = ("x", "ids")
    selection = ("anomaly_auroc", "higher")

    def __init__(self, dataset: Dataset, device: torch.device):
        if "anomalies" not in dataset.validation.labels:
            raise UsageError(
                "task=one_class needs anomalies in validation and test, which this data set does not have. "
                "Choose variant=one_class."
            )

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return dataset.input_shape, 2

    def classify(self, head: Callable) -> Callable:
        return head

    def logits(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)[..., :2]

    def metrics(self, logits: Tensor, anomalies: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.outliers import detection_metrics
        from lossbench.metrics.ranking import precise

        scores = precise(logits[:, 1]) - precise(logits[:, 0])
        return {f"anomaly_{name}": value for name, value in detection_metrics(scores, anomalies).items()}
