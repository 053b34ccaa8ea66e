"""Rectified projector: a projector whose embeddings go through a ReLU, so that none of their entries is negative.

    z = relu(W2 relu(W1 h))

hidden, layers, size    those of projector
Paper      Kini et al. 2023, arXiv:2306.07960, which puts the ReLU behind the last layer of the network
"""

from typing import Annotated

from annotated_types import Ge
from torch import nn

from lossbench.heads.projector import projector


def rectified_projector(
    *,
    num_features: int,
    num_outputs: int,
    hidden: Annotated[int, Ge(1)] | None = None,
    layers: Annotated[int, Ge(1)] = 2,
    size: Annotated[int, Ge(1)] | None = None,
) -> nn.Module:
    made = projector(num_features=num_features, num_outputs=num_outputs, hidden=hidden, layers=layers, size=size)
    return nn.Sequential(made, nn.ReLU())
