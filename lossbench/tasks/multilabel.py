"""Multi-label classification: any number of labels per example.

Batch       x [B, ...], labels [B, C] indicators, ids [B]
Metrics     see lossbench/metrics/multilabel.py; with an imbalanced training set, those of head, medium and tail labels,
            lossbench/metrics/long_tail.py. At the end, F1 with a threshold tuned on validation:
            lossbench/metrics/decisions.py
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.metrics.long_tail import is_imbalanced, long_tail_precisions
from lossbench.tasks.supervised import SupervisedTask


class Multilabel(SupervisedTask):
    batch = ("x", "labels", "ids")
    selection = ("mean_average_precision", "higher")

    def __init__(self, dataset: Dataset, device: torch.device):
        self._class_counts = dataset.class_counts.to(device)
        self._imbalanced = is_imbalanced(dataset.class_counts)

    def logits(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def class_counts(self) -> Tensor:
        return self._class_counts

    def metrics(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.multilabel import multilabel_metrics, ranking_per_label

        values = multilabel_metrics(logits, labels)
        if self._imbalanced:
            average_precisions, _ = ranking_per_label(logits, labels > 0.5)
            values |= long_tail_precisions(average_precisions, self._class_counts)
        return values

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.decisions import tuned_decisions

        validation, test = splits["validation"], splits["test"]
        return tuned_decisions(validation["logits"], validation["labels"], test["logits"], test["labels"])
