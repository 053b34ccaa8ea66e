"""Risk control: multi-label classification of a stream, with sets of labels whose false negatives are controlled.

Batch       as in multilabel; the validation split came before the test split, and each is in the order of its time
target_risk  in (0, 1): wanted part of the positive labels that the sets miss, on average
decay       in (0, 1]: what an example counts for the next but one over what it counts for the next; 1 forgets nothing
Metrics     as in multilabel; at the end, of the sets of the test split: lossbench/metrics/risk_control.py
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.multilabel import Multilabel


class RiskControl(Multilabel):
    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        target_risk: Annotated[float, Interval(gt=0, lt=1)] = 0.2,
        decay: Annotated[float, Interval(gt=0, le=1)] = 0.99,
    ):
        super().__init__(dataset, device)
        self._target_risk, self._decay = target_risk, decay

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.risk_control import risk_control_metrics

        stream = [splits[name][word] for name in ("validation", "test") for word in ("logits", "labels")]
        controlled = risk_control_metrics(*stream, target_risk=self._target_risk, decay=self._decay)
        return {**super().test_metrics(splits), **controlled}
