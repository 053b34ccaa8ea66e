"""Multi-task: several classifications of the same inputs at once, by one head each, which head=task_heads makes.

Batch       x [B, ...], task_targets [B, Q] class indices of each of the Q tasks, ids [B]
Metrics     accuracy, the mean over the tasks; least_accuracy, of the worst of them; nll and task<q>_accuracy of each
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.supervised import SupervisedTask


class MultiTask(SupervisedTask):
    batch: tuple[str, ...] = ("x", "task_targets", "ids")
    selection = ("accuracy", "higher")

    def __init__(self, dataset: Dataset, device: torch.device):
        targets = dataset.train.labels.get("task_targets")
        if targets is None:
            raise UsageError(
                "task: this data set has one task only. Choose a data set of several, such as dataset=overlaid_digits."
            )
        self._number = targets.shape[-1]

    def task_logits(self, head: Callable, features: Tensor) -> Tensor:
        return self._of_all_tasks(head(features))

    def _of_all_tasks(self, outputs: Tensor) -> Tensor:
        if outputs.ndim < 3 or outputs.shape[-2] != self._number:
            raise UsageError(
                f"head: the model must give one output for each of the {self._number} tasks. Choose head=task_heads "
                f"with head.num_tasks={self._number}, or a model of several tasks."
            )
        return outputs

    def metrics(self, task_logits: Tensor, task_targets: Tensor) -> dict[str, Tensor]:
        from lossbench.metrics.multi_task import multi_task_metrics

        return multi_task_metrics(task_logits, task_targets)
