"""Multi-sample dropout: a linear head that sees the features under several dropout masks at once.

In training the outputs are those of each mask, [*, samples, C]: loss=sampled_cross_entropy takes the mean of the
losses over the masks, which is the method (the loss of the mean would be another). In evaluation there is no dropout,
and the outputs are [*, C].

samples   masks, >= 1; 1 is ordinary dropout before the head
rate      in [0, 1): probability that a feature is dropped
Paper     Inoue 2019, arXiv:1905.09788; 8 masks are its usual number
Differs   the paper also duplicates layers before the head and flips or pads some of the copies; here the masks are on
          the features alone
"""

from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor, nn


def multi_sample_dropout(
    *,
    num_features: int,
    num_outputs: int,
    samples: Annotated[int, Ge(1)] = 8,
    rate: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
) -> nn.Module:
    return MultiSampleDropout(num_features, num_outputs, samples, rate)


class MultiSampleDropout(nn.Linear):
    def __init__(self, num_features: int, num_outputs: int, samples: int, rate: float):
        super().__init__(num_features, num_outputs)
        self.samples, self.rate = samples, rate

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return super().forward(features)
        copies = features.unsqueeze(-2).expand(*features.shape[:-1], self.samples, -1)
        return super().forward(F.dropout(copies, self.rate))
