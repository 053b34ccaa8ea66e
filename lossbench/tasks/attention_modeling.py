"""Attention modelling: language modelling that sees how spread the attention of its model is; for model=softmax_gpt.

Batch       as in language_modeling
heads       of the model, in each layer
Metrics     as in language_modeling, and of the heads' entropies, each the mean over all tokens:
            head_entropy         their mean, as a part of log T, the largest there is
            overloaded_heads     part of the heads above 3/4 of it
            collapsed_heads      part of the heads below 1/4 of it
"""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.metrics.ranking import precise
from lossbench.tasks.language_modeling import LanguageModeling


class AttentionModeling(LanguageModeling):
    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        heads: Annotated[int, Ge(1)] = 4,
        softcap: Annotated[float, Gt(0)] | None = None,
    ):
        super().__init__(dataset, device, softcap=softcap)
        self._heads = heads

    def with_entropies(self, body: Callable, x: Tensor) -> Tensor:
        """[B, T, D + L H]: what the body gives, features and entropies."""
        return body(x)

    def features(self, with_entropies: Tensor, head_weight: Tensor) -> Tensor:  # type: ignore[override]
        return with_entropies[..., : head_weight.shape[1]]

    def head_entropies(self, with_entropies: Tensor, head_weight: Tensor) -> Tensor:
        return with_entropies[..., head_weight.shape[1] :].unflatten(-1, (-1, self._heads))

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        head_entropies: Tensor,
    ) -> dict[str, Tensor]:
        values = super().metrics(target_log_p, confidence, correct, predictive_entropy, targets, mask)
        parts = precise(head_entropies).mean((0, 1)) / math.log(targets.shape[1])
        return values | {
            "head_entropy": parts.mean(),
            "overloaded_heads": precise(parts > 0.75).mean(),
            "collapsed_heads": precise(parts < 0.25).mean(),
        }
