"""Distillation: classification with a frozen teacher.

Batch       as in classification
teacher     the folder of a finished run (its selected weights are used), whose data set has the same classes
Metrics     as in classification, plus those of the agreement of student and teacher: lossbench/metrics/teachers.py
"""

from typing import cast

import torch
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.ops import true_class_log_p
from lossbench.tasks.classification import Classification


class Distillation(Classification):
    def __init__(self, dataset: Dataset, device: torch.device, *, teacher: nn.Module):
        super().__init__(dataset, device)
        self._teacher = teacher.requires_grad_(False).eval().to(device)
        self._body, self._head = cast(nn.Module, teacher.body), cast(nn.Module, teacher.head)
        shape = dataset.input_shape
        try:
            with torch.no_grad():
                outputs = self._teacher(torch.zeros(1, *shape, device=device)).shape[-1]
        except RuntimeError:
            raise UsageError(
                f"task.teacher cannot read inputs of shape {list(shape)}, which this data set has. "
                "Choose a teacher that was trained on the same data set."
            ) from None
        if outputs != dataset.num_outputs:
            raise UsageError(
                f"task.teacher has {outputs} outputs, but the data set has {dataset.num_outputs} classes. "
                "Choose a teacher that was trained on the same classes."
            )

    def teacher_features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._body(x)

    def teacher_logits(self, teacher_features: Tensor) -> Tensor:
        with torch.no_grad():
            return self._head(teacher_features)

    def teacher_target_log_p(self, teacher_logits: Tensor, targets: Tensor) -> Tensor:
        return true_class_log_p(teacher_logits, targets)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, teacher_logits: Tensor
    ) -> dict[str, Tensor]:
        from lossbench.metrics.teachers import teacher_metrics

        return {**super().metrics(logits, targets), **teacher_metrics(logits, teacher_logits)}
