"""Classification whose features are judged on other classes, which were not learned.

Batch       as in classification; the data set has the splits transfer_train and transfer_test: variant transfer_classes
Metrics     those of classification; at the end transfer_accuracy, of a linear classifier of the other classes that is
            fitted to the features of transfer_train and judged on transfer_test; see lossbench/metrics/features.py
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification

SPLITS = ("transfer_train", "transfer_test")


class TransferClassification(Classification):
    def __init__(self, dataset: Dataset, device: torch.device):
        if not set(SPLITS) <= set(dataset.extra):
            raise UsageError(
                "task=transfer_classification judges the features on classes that are not learned, and this data set "
                "has none. Add variant=[transfer_classes]."
            )
        super().__init__(dataset, device)
        self._num_new_classes = int(dataset.extra["transfer_train"].labels["transfer_targets"].max()) + 1

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        logits: Tensor,
        targets: Tensor,
        features: Tensor | None = None,
        transfer_targets: Tensor | None = None,
    ) -> dict[str, Tensor]:
        return super().metrics(logits, targets)

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.features import linear_probe_accuracy

        own = {name: tensors for name, tensors in splits.items() if name not in SPLITS}
        known, test = ((splits[name]["features"], splits[name]["transfer_targets"]) for name in SPLITS)
        probe = linear_probe_accuracy(*test, self._num_new_classes, known)
        return {**super().test_metrics(own), "transfer_accuracy": probe}
