"""Elastic MLP: a multi-layer perceptron whose layers can be cut to their first units: a supernet of narrower ones."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Len
from torch import Tensor, nn

from lossbench.models.mlp import ACTIVATIONS
from lossbench.models.model import Model


class ElasticBody(nn.Module):
    """x [B, ...], or (x, shares) with shares [L]: of layer l only the first ceil(shares[l] width) units, at least one.

    The outputs of the other units are 0, which is what the next layer would see of a network without them.
    """

    def __init__(self, layers: Sequence[nn.Linear], activation: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activation = activation

    def forward(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        x, shares = inputs if isinstance(inputs, tuple) else (inputs, None)
        x = x.flatten(1)
        for place, layer in enumerate(self.layers):
            x = self.activation(layer(x))
            if shares is not None:
                units = torch.arange(x.shape[-1], device=x.device)
                # A share that is a ratio of whole numbers is not exactly that as a float.
                kept = (shares[place] * x.shape[-1] - 1e-3).ceil().clamp(min=1)
                x = torch.where(units < kept, x, 0.0)
        return x


def elastic_mlp(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Annotated[Sequence[Annotated[int, Ge(1)]], Len(1)] = (128, 128),
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
) -> Model:
    """The network of model=mlp, with the same initial weights; for task=supernet.

    widths      units of each hidden layer, when none is cut
    activation  relu, gelu, silu or tanh
    """
    layers = []
    size = math.prod(input_shape)
    for width in widths:
        layers.append(nn.Linear(size, width))
        size = width
    return Model(ElasticBody(layers, ACTIVATIONS[activation]()), nn.Linear(size, num_outputs), num_features=size)
