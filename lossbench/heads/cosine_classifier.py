"""Cosine classifier: each logit is the cosine between the features and the weights of the class, times a scale.

    logits_c = scale <h, w_c> / (|h| |w_c|)

scale     > 0: logits lie in [-scale, scale]
Numerics  the zero vector has cosine 0 with everything, and gradient 0
Paper     Gidaris and Komodakis 2018, arXiv:1804.09458; scale = 30 and uniform initial weights as in the code of Cao et
          al. 2019, arXiv:1906.07413, where the loss has the scale
"""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lossbench.ops import normalize


def cosine_classifier(*, num_features: int, num_outputs: int, scale: Annotated[float, Gt(0)] = 30.0) -> nn.Module:
    return Cosine(num_features, num_outputs, scale)


class Cosine(nn.Module):
    """weight   [C, D], or [M, C, D] for M members: then features [*, D] have logits [*, M, C]."""

    def __init__(self, num_features: int, num_outputs: int, scale: float, num_members: int | None = None):
        super().__init__()
        self.scale = scale
        shape = (num_outputs, num_features) if num_members is None else (num_members, num_outputs, num_features)
        # Only the direction counts: every direction of the cube is possible, at norms of about 1.
        self.weight = nn.Parameter(normalize(torch.empty(shape).uniform_(-1, 1)))

    def forward(self, features: Tensor) -> Tensor:
        weight = normalize(self.weight)
        cosines = normalize(features) @ weight.flatten(0, -2).mT
        return self.scale * cosines.unflatten(-1, weight.shape[:-1])
