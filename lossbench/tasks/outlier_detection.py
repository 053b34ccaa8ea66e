"""Outlier detection by features: trained on the classes of what is inside, with any loss on logits or on embeddings.

What the head gives are the logits of a classifier, or embeddings (head=projector): the loss says which. The metrics
look at the features below it alone, so that all losses are judged alike.

Batch       x [B, ...], targets [B] class indices, ids [B]
Metrics     knn_accuracy of the features, see lossbench/metrics/features.py; at the end, with a split of outliers
            (variant=held_out_classes, outlier_dataset or outlier_noise): outlier_mahalanobis_auroc, _aupr and _fpr95,
            by the distance to the training features, see lossbench/metrics/outliers.py
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.ops import one_hot
from lossbench.tasks.supervised import SupervisedTask


class OutlierDetection(SupervisedTask):
    batch = ("x", "targets", "ids")
    selection = ("knn_accuracy", "higher")
    test_splits = ("train",)

    def __init__(self, dataset: Dataset, device: torch.device):
        self._num_classes = dataset.num_outputs
        self._class_counts = dataset.class_counts.to(device)

    def logits(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def embeddings(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def labels(self, targets: Tensor) -> Tensor:
        return one_hot(targets, self._num_classes)

    def class_counts(self) -> Tensor:
        return self._class_counts

    def metrics(self, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.features import knn_accuracy

        return {"knn_accuracy": knn_accuracy(features, targets, self._num_classes)}

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.features import knn_accuracy
        from lossbench.metrics.outliers import detection_metrics, mahalanobis

        known, test = splits["train"], splits["test"]
        neighbours = known["features"], known["targets"]
        found = {"train_knn_accuracy": knn_accuracy(test["features"], test["targets"], self._num_classes, neighbours)}
        if "outliers" in splits:
            both = torch.cat([test["features"], splits["outliers"]["features"]])
            outliers = torch.arange(len(both), device=both.device) >= len(test["features"])
            values = detection_metrics(mahalanobis(both, known["features"]), outliers)
            found |= {f"outlier_mahalanobis_{name}": value for name, value in values.items()}
        return found
