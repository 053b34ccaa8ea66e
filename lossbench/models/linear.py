"""Linear model on flattened inputs: logistic regression, least squares. Its features are the inputs."""

import math
from collections.abc import Sequence

from torch import nn

from lossbench.models.model import Model


def linear(*, input_shape: Sequence[int], num_outputs: int) -> Model:
    """Inputs of every shape; weights start as torch.nn.Linear's do. With a convex loss the problem is convex."""
    size = math.prod(input_shape)
    return Model(nn.Flatten(), nn.Linear(size, num_outputs), num_features=size)
