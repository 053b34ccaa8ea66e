"""Multi-label classification: any number of labels per example.

Batch       x [B, ...], labels [B, C] indicators, ids [B]
Metrics     see lossbench/metrics/multilabel.py
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.supervised import SupervisedTask


class Multilabel(SupervisedTask):
    batch = ("x", "labels", "ids")
    selection = ("mean_average_precision", "higher")

    def __init__(self, dataset: Dataset, device: torch.device):
        self._class_counts = dataset.class_counts.to(device)

    def logits(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def class_counts(self) -> Tensor:
        return self._class_counts

    def metrics(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.multilabel import multilabel_metrics

        return multilabel_metrics(logits, labels)
