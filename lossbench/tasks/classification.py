"""Classification: one class per example.

Batch       x [B, ...], targets [B] class indices, ids [B]
            where the data set has them: groups [B] group indices, attributes [B, A] that the groups combine,
            anomalies [B] whether the target is not what belongs to the input
Metrics     accuracy, top-5 accuracy, negative log-likelihood, Brier score, calibration error (equal width and equal
            mass), macro F1, balanced and worst-class accuracy, AUROC; see lossbench/metrics/classification.py. The
            tail of the losses: lossbench/metrics/tail.py. Of two classes: lossbench/metrics/precision_recall.py.
            What it is worth to abstain: lossbench/metrics/selective.py.
            Of an imbalanced training set, head, medium and tail classes: lossbench/metrics/long_tail.py.
            With groups: lossbench/metrics/groups.py. At the end, fitted on validation: temperature scaling and
            conformal prediction sets, lossbench/metrics/calibration.py. With anomalies, how well -log p of the target
            finds them; at the end, against the split of outliers and on further splits, lossbench/metrics/outliers.py
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.long_tail import is_imbalanced, long_tail_metrics
from lossbench.ops import one_hot
from lossbench.tasks.supervised import SupervisedTask


class Classification(SupervisedTask):
    batch = ("x", "targets", "ids")
    selection = ("accuracy", "higher")

    def __init__(self, dataset: Dataset, device: torch.device):
        self._num_outputs = dataset.num_outputs
        self._class_counts = dataset.class_counts.to(device)
        self._num_groups = dataset.num_groups
        self._group_counts = dataset.group_counts.to(device)
        self._mean, self._std = (None if t is None else t.to(device) for t in (dataset.mean, dataset.std))
        self._imbalanced = is_imbalanced(dataset.class_counts)

    def logits(self, head: Callable, features: Tensor) -> Tensor:
        outputs = head(features)
        if outputs.ndim > features.ndim:
            raise UsageError(
                "head: this head gives several outputs for each example in training, of its draws or members. "
                "Choose loss=sampled_cross_entropy, which reads all of them, a task for several members, or head=own."
            )
        return outputs

    def sampled_logits(self, head: Callable, features: Tensor) -> Tensor:
        outputs = head(features)
        return outputs if outputs.ndim > features.ndim else outputs.unsqueeze(-2)  # a head without noise: one draw

    def labels(self, targets: Tensor) -> Tensor:
        return one_hot(targets, self._num_outputs)

    def class_counts(self) -> Tensor:
        return self._class_counts

    def group_counts(self, groups: Tensor) -> Tensor:  # groups: so that a data set without them is refused
        return self._group_counts

    def counterfactual_logits(self, forward: Callable, counterfactual_inputs: Tensor) -> Tensor:
        centred = counterfactual_inputs if self._mean is None else counterfactual_inputs - self._mean
        return forward(centred if self._std is None else centred / self._std)

    def metrics(
        self,
        logits: Tensor,
        targets: Tensor,
        groups: Tensor | None = None,
        anomalies: Tensor | None = None,
        counterfactual_logits: Tensor | None = None,
        demonstrations: Tensor | None = None,
    ) -> dict[str, Tensor]:
        from lossbench.metrics.classification import classification_metrics
        from lossbench.metrics.groups import counterfactual_metrics, group_metrics, superhuman_metrics
        from lossbench.metrics.outliers import target_anomaly_metrics
        from lossbench.metrics.precision_recall import precision_recall_metrics
        from lossbench.metrics.selective import selective_metrics
        from lossbench.metrics.tail import tail_metrics

        values = {**classification_metrics(logits, targets), **tail_metrics(logits, targets)}
        values |= {**precision_recall_metrics(logits, targets), **selective_metrics(logits, targets)}
        if self._imbalanced:
            values |= long_tail_metrics(logits, targets, self._class_counts)
        if anomalies is not None:
            values |= target_anomaly_metrics(logits, targets, anomalies)
        if groups is not None:
            values |= group_metrics(logits, targets, groups, self._num_groups)
        if groups is not None and demonstrations is not None:
            values |= superhuman_metrics(logits, targets, groups, self._num_groups, demonstrations)
        if counterfactual_logits is not None:
            values |= counterfactual_metrics(logits, counterfactual_logits)
        return values

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.calibration import calibration_metrics
        from lossbench.metrics.outliers import outlier_and_shift_metrics

        fitted_on = splits["validation"]["logits"], splits["validation"]["targets"]
        values = outlier_and_shift_metrics(splits, self._class_counts)
        for name, split in splits.items():
            if name != "validation" and "logits" in split and "targets" in split:
                prefix = "" if name == "test" else f"{name}/"
                found = calibration_metrics(*fitted_on, split["logits"], split["targets"])
                values |= {f"{prefix}{metric}": value for metric, value in found.items()}
        return values
