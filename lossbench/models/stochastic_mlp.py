"""Stochastic perceptron: a Gaussian for each input, and a linear head that reads draws from it.

    z ~ N(mean(x), diag(scale(x))^2)        scale = softplus(raw - 5)        logits = linear(z)

The body gives [B, 2 K], the mean and beside it the scale; task=latent_classification takes them apart and draws. On its
own, without draws, the model reads the mean.

Paper     Alemi et al. 2017, arXiv:1612.00410, the encoder of its experiments: mean and softplus(raw - 5)
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from lossbench.models.leading_linear import LeadingLinear
from lossbench.models.model import Model

SMALL_AT_FIRST = 5.0  # softplus(-5) = 0.007: training starts almost without noise


class GaussianEncoder(nn.Module):
    """x [B, ...] -> [B, 2 K]: means, then standard deviations."""

    def __init__(self, size: int, widths: Sequence[int], latent_size: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for width in widths:
            layers += [nn.Linear(size, width), nn.ReLU()]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, 2 * latent_size))

    def forward(self, x: Tensor) -> Tensor:
        mean, raw = self.layers(x).chunk(2, -1)
        return torch.cat([mean, F.softplus(raw - SMALL_AT_FIRST)], -1)


def stochastic_mlp(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Sequence[Annotated[int, Ge(1)]] = (128, 128),
    latent_size: Annotated[int, Ge(1)] = 32,
) -> Model:
    """Inputs of every shape; weights start as torch.nn.Linear's do.

    widths       units of each hidden layer
    latent_size  axes K of the Gaussian
    """
    body = GaussianEncoder(math.prod(input_shape), widths, latent_size)
    return Model(body, LeadingLinear(latent_size, num_outputs), num_features=latent_size)
