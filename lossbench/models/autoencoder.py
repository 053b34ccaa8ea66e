"""Autoencoder: a perceptron down to a short code, the body, and one back up, the head; on flattened inputs."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Len
from torch import nn

from lossbench.models.mlp import ACTIVATIONS
from lossbench.models.model import Model


def autoencoder(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Annotated[Sequence[Annotated[int, Ge(1)]], Len(0)] = (64, 32),
    code: Annotated[int, Ge(1)] = 8,
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
) -> Model:
    """Inputs of every shape; weights start as torch.nn.Linear's do. For task=reconstruction, whose outputs are as many
    as the inputs.

    widths      units of the hidden layers from the input to the code; the head has them in reverse
    code        numbers between body and head: the features
    activation  after each hidden layer; the code and the outputs have none
    """
    encoder: list[nn.Module] = [nn.Flatten(), *_layers([math.prod(input_shape), *widths, code], activation)]
    decoder = _layers([code, *reversed(widths), num_outputs], activation)
    return Model(nn.Sequential(*encoder), nn.Sequential(*decoder), num_features=code)


def _layers(sizes: Sequence[int], activation: str) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for size, following in itertools.pairwise(sizes):
        layers += [nn.Linear(size, following), ACTIVATIONS[activation]()]
    return layers[:-1]
