"""Embedding: an embedding of each input that shows its class; there is no classifier, the nearest class mean decides.

Embeddings are the outputs of the head: head=projector is the usual one, head=rectified_projector has none below 0, and
head=identity takes the features themselves.

Batch       x [B, ...], targets [B] class indices, ids [B]
Metrics     nearest_mean_accuracy: balanced accuracy of the nearest class mean, of the split itself and, at the end, of
            the training examples, train_nearest_mean_accuracy; at the end also how far the training examples are from
            neural collapse: frame_distance, collapse, mean_cosine; see lossbench/metrics/geometry.py
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.contrastive import EMBEDDING_SIZE
from lossbench.tasks.supervised import SupervisedTask


class Embedding(SupervisedTask):
    batch = ("x", "targets", "ids")
    selection = ("nearest_mean_accuracy", "higher")
    test_splits = ("train",)

    def __init__(self, dataset: Dataset, device: torch.device):
        self._num_classes = dataset.num_outputs
        self._class_counts = dataset.class_counts.to(device)

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return dataset.input_shape, EMBEDDING_SIZE

    def embeddings(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def class_counts(self) -> Tensor:
        return self._class_counts

    def metrics(self, embeddings: Tensor, targets: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.geometry import nearest_mean_accuracy

        return {"nearest_mean_accuracy": nearest_mean_accuracy(embeddings, targets, self._num_classes)}

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.geometry import frame_metrics, nearest_mean_accuracy

        train, test = splits["train"], splits["test"]
        known = train["embeddings"], train["targets"]
        found = nearest_mean_accuracy(test["embeddings"], test["targets"], self._num_classes, known)
        return {"train_nearest_mean_accuracy": found, **frame_metrics(*known, self._num_classes)}
