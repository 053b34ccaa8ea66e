"""Model update: a classifier is to replace an old one that knew the first classes only.

Batch       as in classification
old         the frozen model that is replaced; it knows the first K classes: {train: [overrides]} with
            variant=[first_classes], or the folder of a finished run
independent  a frozen model of all classes, trained without regard to the old one; null where no loss needs it
Metrics     as in classification, and negative flips, what is wrong now and was right before: lossbench/metrics/flips.py
"""

import torch
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification


class ModelUpdate(Classification):
    def __init__(self, dataset: Dataset, device: torch.device, *, old: nn.Module, independent: nn.Module | None = None):
        super().__init__(dataset, device)
        self._old = old.requires_grad_(False).eval().to(device)
        self._independent = None if independent is None else independent.requires_grad_(False).eval().to(device)
        example = torch.zeros(1, *dataset.input_shape, device=device)
        for name, model, fewest in (("old", self._old, 1), ("independent", self._independent, dataset.num_outputs)):
            if model is None:
                continue
            try:
                outputs = model(example).shape[-1]
            except RuntimeError:
                raise UsageError(
                    f"task.{name} cannot read inputs of shape {list(dataset.input_shape)}, which this data set has. "
                    "Choose a model that was trained on the same data set."
                ) from None
            if not fewest <= outputs <= dataset.num_outputs:
                raise UsageError(
                    f"task.{name} has {outputs} outputs, but the data set has {dataset.num_outputs} classes. Choose a "
                    f"model that was trained on {'all of' if name == 'independent' else 'the first of'} them."
                )

    def old_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._old(x)

    def independent_logits(self, x: Tensor) -> Tensor:
        if self._independent is None:
            raise UsageError(
                "task.independent is not given, and the loss needs it. Give {train: [overrides]}, or the folder of a "
                "finished run on the same data set."
            )
        with torch.no_grad():
            return self._independent(x)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, old_logits: Tensor
    ) -> dict[str, Tensor]:
        from lossbench.metrics.flips import flip_metrics

        return {**super().metrics(logits, targets), **flip_metrics(logits, old_logits, targets)}
