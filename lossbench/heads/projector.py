"""Projector: a perceptron from features to the embeddings that a contrastive loss compares.

    z = W2 relu(W1 h)

hidden     units of each hidden layer; null: as many as there are features
layers     linear layers, >= 1; 2 is W2 relu(W1 h)
size       numbers of an embedding; null: what the task says
Paper      Chen et al. 2020, arXiv:2002.05709
Differs    biases in all layers, no batch norm; the authors' code has batch norm after each layer
"""

from itertools import pairwise
from typing import Annotated

from annotated_types import Ge
from torch import nn


def projector(
    *,
    num_features: int,
    num_outputs: int,
    hidden: Annotated[int, Ge(1)] | None = None,
    layers: Annotated[int, Ge(1)] = 2,
    size: Annotated[int, Ge(1)] | None = None,
) -> nn.Module:
    widths = [num_features, *[hidden or num_features] * (layers - 1), size or num_outputs]
    made: list[nn.Module] = []
    for width, following in pairwise(widths):
        made += [nn.ReLU(), nn.Linear(width, following)]
    return nn.Sequential(*made[1:])
