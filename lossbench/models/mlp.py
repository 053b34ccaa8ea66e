"""Multi-layer perceptron on flattened inputs: linear layers with ReLU between them, then a linear head."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Interval
from torch import nn

from lossbench.models.model import Model


def mlp(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Sequence[Annotated[int, Ge(1)]] = (128, 128),
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> Model:
    """widths: units of each hidden layer; dropout: probability, after each ReLU, 0 leaves the layer out."""
    layers: list[nn.Module] = [nn.Flatten()]
    size = 1
    for n in input_shape:
        size *= n
    for width in widths:
        layers += [nn.Linear(size, width), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        size = width
    return Model(nn.Sequential(*layers), nn.Linear(size, num_outputs), num_features=size)
