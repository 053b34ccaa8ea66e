"""Contrastive learning: two views of each input, told from the views of other inputs.

The views are the same example under two draws of the configured augmentations. Embeddings are the outputs of the head:
head=projector is the usual one, head=identity compares the features themselves. The classes serve the metrics, and
losses that are supervised.

Batch       x [B, ...], second_x [B, ...], targets [B] class indices, ids [B]
Metrics     knn_accuracy: of the features, by the nearest other examples of the split; at the end also by the nearest
            training examples, train_knn_accuracy, and of a linear classifier fitted to the training examples,
            linear_probe_accuracy; see lossbench/metrics/features.py
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.supervised import SupervisedTask

EMBEDDING_SIZE = 128  # of the model's own head and of a projector that does not say otherwise; as in Chen et al. 2020


class Contrastive(SupervisedTask):
    batch = ("x", "second_x", "targets", "ids")
    selection = ("knn_accuracy", "higher")
    test_splits = ("train",)

    def __init__(self, dataset: Dataset, device: torch.device):
        self._num_classes = dataset.num_outputs

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return dataset.input_shape, EMBEDDING_SIZE

    def second_features(self, body: Callable, second_x: Tensor) -> Tensor:
        return body(second_x)

    def embeddings(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def second_embeddings(self, head: Callable, second_features: Tensor) -> Tensor:
        return head(second_features)

    def metrics(self, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.features import knn_accuracy

        return {"knn_accuracy": knn_accuracy(features, targets, self._num_classes)}

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.features import knn_accuracy, linear_probe_accuracy

        known = splits["train"]["features"], splits["train"]["targets"]
        test = splits["test"]["features"], splits["test"]["targets"], self._num_classes
        return {
            "train_knn_accuracy": knn_accuracy(*test, known),
            "linear_probe_accuracy": linear_probe_accuracy(*test, known),
        }
