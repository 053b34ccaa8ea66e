"""Embedding: an embedding of each input that shows its class; there is no classifier, the nearest class mean decides.

Embeddings are the outputs of the head: head=projector is the usual one, head=rectified_projector has none below 0, and
head=identity takes the features themselves.

Batch       x [B, ...], targets [B] class indices, ids [B]
bound       how many training examples of each class are the same in every step, for losses that bind batches together;
            the first ones of the training split, all where a class has fewer. Augmentations do not reach them
Metrics     nearest_mean_accuracy: balanced accuracy of the nearest class mean, of the split itself and, at the end, of
            the training examples, train_nearest_mean_accuracy; at the end also how far the training examples are from
            neural collapse: frame_distance, collapse, mean_cosine; see lossbench/metrics/geometry.py
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from lossbench.datasets.dataset import Dataset, read
from lossbench.errors import UsageError
from lossbench.tasks.contrastive import EMBEDDING_SIZE
from lossbench.tasks.supervised import SupervisedTask


class Embedding(SupervisedTask):
    batch = ("x", "targets", "ids")
    selection = ("nearest_mean_accuracy", "higher")
    test_splits = ("train",)

    def __init__(self, dataset: Dataset, device: torch.device, *, bound: Annotated[int, Ge(0)] = 0):
        self._num_classes = dataset.num_outputs
        self._class_counts = dataset.class_counts.to(device)
        targets = dataset.train.labels["targets"]
        chosen = [(targets == c).nonzero().flatten()[:bound] for c in range(dataset.num_outputs)]
        self._bound_x, self._bound_targets = (t.to(device) for t in _standardised(dataset, torch.cat(chosen)))

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return dataset.input_shape, EMBEDDING_SIZE

    def embeddings(self, head: Callable, features: Tensor) -> Tensor:
        return head(features)

    def bound_embeddings(self, body: Callable, head: Callable, x: Tensor) -> Tensor:
        if not len(self._bound_x):
            raise UsageError("task.bound=0: the loss is for batches with fixed examples. Set task.bound to 1 or more.")
        return head(body(self._bound_x.to(x.dtype)))

    def bound_targets(self) -> Tensor:
        return self._bound_targets

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


def _standardised(dataset: Dataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    """The training inputs at these indices as the model sees them, and their targets."""
    inputs = dataset.train.inputs
    if isinstance(inputs, Tensor):
        x = inputs[indices].float()
    else:
        x = read(inputs, indices.tolist()).float() if len(indices) else inputs[0][:0].float()
    if dataset.mean is not None:
        x = x - dataset.mean
    return x if dataset.std is None else x / dataset.std, dataset.train.labels["targets"][indices]
