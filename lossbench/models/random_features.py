"""Random features: a fixed random layer with ReLU, and a linear head without bias that is trained.

    features = max(W x, 0)        W_ij ~ N(0, 1 / number of inputs), never trained

With a convex loss the problem is convex.
Paper     Rahimi and Recht 2007, NeurIPS, with this activation and scale as in Zhang et al. 2024, arXiv:2404.05868
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from lossbench.models.model import Model


class RandomLayer(nn.Module):
    weight: Tensor

    def __init__(self, num_inputs: int, num_features: int):
        super().__init__()
        self.register_buffer("weight", torch.randn(num_features, num_inputs) / num_inputs**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) @ self.weight.T).relu()


def random_features(*, input_shape: Sequence[int], num_outputs: int, width: Annotated[int, Ge(1)] = 128) -> Model:
    """Inputs of every shape; the head starts as torch.nn.Linear does.

    width   number of features
    """
    body = RandomLayer(math.prod(input_shape), width)
    return Model(body, nn.Linear(width, num_outputs, bias=False), num_features=width)
