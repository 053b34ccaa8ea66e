"""Multiplicity: classification with two classes, and how far models that are nearly as good could differ on them.

Batch       as in classification
tolerance   > 0: how much higher than the lowest a loss may be (logistic regression on the training split)
difference  > 0: from which on two probabilities conflict
ridge       > 0: of that regression, so that it has a solution where the classes can be separated
judged      >= 1: of so many training examples, the first ones
Metrics     as in classification; at the end, those of lossbench/metrics/multiplicity.py. They are about the data set
            and logistic regression: the run's own model has no part in them
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification


class Multiplicity(Classification):
    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        tolerance: Annotated[float, Gt(0)] = 0.01,
        difference: Annotated[float, Gt(0)] = 0.1,
        ridge: Annotated[float, Gt(0)] = 1e-3,
        judged: Annotated[int, Ge(1)] = 200,
    ):
        super().__init__(dataset, device)
        inputs = dataset.train.inputs
        if dataset.num_outputs != 2 or not isinstance(inputs, Tensor):
            raise UsageError(
                "task=multiplicity needs two classes and inputs in memory, and this data set has "
                f"{dataset.num_outputs} classes. Choose another one, such as dataset=two_gaussians."
            )
        inputs = inputs.float() if dataset.mean is None else inputs.float() - dataset.mean
        inputs = inputs if dataset.std is None else inputs / dataset.std
        self._train = inputs.flatten(1).to(device), dataset.train.labels["targets"].to(device)
        self._tolerance, self._difference, self._ridge, self._judged = tolerance, difference, ridge, judged

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.multiplicity import multiplicity_metrics

        found = multiplicity_metrics(
            *self._train,
            tolerance=self._tolerance,
            difference=self._difference,
            ridge=self._ridge,
            judged=self._judged,
        )
        return {**super().test_metrics(splits), **found}
