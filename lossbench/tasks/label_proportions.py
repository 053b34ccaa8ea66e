"""Learning from label proportions: only the proportions of bags are known in training, single examples are judged.

Batch       x [B, M, ...] bags of M members, proportions [B, C] of the classes in each bag, ids [B]; with the variant
            random_bags, from any data set for classification. Validation and test are single examples, x [N, ...] and
            targets [N], and the model reads single examples
Metrics     those of classification
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification


class LabelProportions(Classification):
    batch = ("x", "proportions", "ids")

    def __init__(self, dataset: Dataset, device: torch.device):
        if "proportions" not in dataset.train.labels:
            raise UsageError(
                "task=label_proportions trains on bags, and this data set has none. Add variant=[random_bags]."
            )
        proportions = dataset.train.labels["proportions"]
        members = Split(dataset.train.inputs, {"labels": proportions * dataset.input_shape[0]})  # sums are the counts
        super().__init__(replace(dataset, train=members), device)
        self._class_prior = proportions.mean(0).to(device)

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        return tuple(dataset.test.inputs[0].shape), dataset.num_outputs

    def bag_logits(self, body: Callable, head: Callable, x: Tensor) -> Tensor:
        return head(body(x.flatten(0, 1))).unflatten(0, x.shape[:2])

    def class_prior(self) -> Tensor:
        return self._class_prior
