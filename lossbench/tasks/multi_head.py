"""Multi-head: classification by several heads on one body, which head=members makes; all of them together decide.

Batch       as in classification
combine     how the members become one: probabilities, their mean; or logits, theirs
Metrics     as in classification, of the combination; and member_accuracy, the mean over the members of their own
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification


class MultiHead(Classification):
    def __init__(
        self, dataset: Dataset, device: torch.device, *, combine: Literal["probabilities", "logits"] = "probabilities"
    ):
        super().__init__(dataset, device)
        self._combine = combine

    def member_logits(self, head: Callable, features: Tensor) -> Tensor:
        outputs = head(features)
        if outputs.ndim != features.ndim + 1:
            raise UsageError("task=multi_head: the model has one head only. Choose head=members.")
        return outputs

    def logits(self, member_logits: Tensor) -> Tensor:  # type: ignore[override]  # its signature names what it needs
        """log of the mean probability, or the mean of the logits."""
        if self._combine == "logits":
            return member_logits.mean(-2)
        return member_logits.float().log_softmax(-1).logsumexp(-2) - math.log(member_logits.shape[-2])

    def metrics(  # type: ignore[override]
        self, logits: Tensor, targets: Tensor, member_logits: Tensor, groups: Tensor | None = None
    ) -> dict[str, Tensor]:
        members = (member_logits.argmax(-1) == targets.unsqueeze(-1)).double().mean()
        return {**super().metrics(logits, targets, groups), "member_accuracy": members}
