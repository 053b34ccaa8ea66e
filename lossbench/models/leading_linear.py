"""A linear head for models whose body gives more than the head reads."""

from torch import Tensor, nn


class LeadingLinear(nn.Linear):
    """Linear in the first inputs; what stands behind them, such as the scores of an attention, is left out."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features[..., : self.in_features])
