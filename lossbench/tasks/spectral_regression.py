"""Spectral regression: regression that is judged by a spectral risk of its squared errors, not by their mean.

Batch       as in regression
risk, level, smoothing   of the risk that is measured; see lossbench/spectral.py
Metrics     as in regression; spectral_risk, of half the squared errors, in standardised units
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from lossbench import spectral
from lossbench.datasets.dataset import Dataset
from lossbench.tasks.regression import Regression


class SpectralRegression(Regression):
    selection = ("spectral_risk", "lower")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        risk: spectral.Risk = "superquantile",
        level: Annotated[float, Ge(0)] = 0.5,
        smoothing: Annotated[float, Ge(0)] = 1.0,
    ):
        super().__init__(dataset, device)
        self._risk, self._level, self._smoothing = risk, level, smoothing

    def metrics(self, predictions: Tensor, regression_targets: Tensor) -> dict[str, Tensor]:
        losses = (predictions - regression_targets).double().square().sum(-1) / 2
        sigma = spectral.spectrum(len(losses), self._risk, self._level)
        found = spectral.spectral_risk(losses, sigma.to(losses.device), self._smoothing)
        return {**super().metrics(predictions, regression_targets), "spectral_risk": found}
