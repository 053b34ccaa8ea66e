"""Multi-layer perceptron on flattened inputs: linear layers with an activation between them, then a linear head."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Interval
from torch import nn

from lossbench.models.model import Model

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


def mlp(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Sequence[Annotated[int, Ge(1)]] = (128, 128),
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> Model:
    """Inputs of every shape; weights start as torch.nn.Linear's do.

    widths      units of each hidden layer; [] is model=linear
    activation  relu; gelu, silu and tanh have second derivatives, for losses on derivatives of the model
    dropout     probability, after each activation; 0 leaves the layer out
    """
    layers: list[nn.Module] = [nn.Flatten()]
    size = math.prod(input_shape)
    for width in widths:
        layers += [nn.Linear(size, width), ACTIVATIONS[activation]()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        size = width
    return Model(nn.Sequential(*layers), nn.Linear(size, num_outputs), num_features=size)
