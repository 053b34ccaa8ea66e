"""Tabular distillation: classes that a known teacher sampled; how close the student's distribution comes to its own.

Batch       x [B, ...], targets [B] class indices that the teacher sampled, teacher_logits [B, C] its log-probabilities,
            ids [B]; dataset=tabular_teacher. A loss may see the samples alone (cross_entropy), the probability of each
            as well (teacher_target_log_p), or the whole distribution (teacher_logits)
Metrics     those of classification, and the distance to the teacher, which selects: lossbench/metrics/teachers.py
"""

from torch import Tensor

from lossbench.ops import true_class_log_p
from lossbench.tasks.classification import Classification


class TabularDistillation(Classification):
    batch: tuple[str, ...] = ("x", "targets", "teacher_logits", "ids")  # type: ignore[assignment]
    selection = ("teacher_distance", "lower")

    def teacher_target_log_p(self, teacher_logits: Tensor, targets: Tensor) -> Tensor:
        return true_class_log_p(teacher_logits, targets)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, teacher_logits: Tensor
    ) -> dict[str, Tensor]:
        from lossbench.metrics.teachers import teacher_metrics

        return {**super().metrics(logits, targets), **teacher_metrics(logits, teacher_logits)}
