"""Attention pooling (ABMIL): each instance of a bag through one perceptron, their weighted mean to a linear head.

    h_m = perceptron(x_m)    e_m = w^T (tanh(V h_m) * sigmoid(U h_m))    a = softmax(e)    features = sum_m a_m h_m

The body gives [B, D + M]: the pooled features and beside them the scores e of the M instances, which the head leaves
out. task=multiple_instance takes them apart.

Paper     Ilse, Tomczak and Welling 2018, arXiv:1802.04712, gated attention
Differs   a small perceptron for each instance, where the paper has convolutions
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.leading_linear import LeadingLinear
from lossbench.models.model import Model


class AttentionPooling(nn.Module):
    """x [B, M, ...] -> [B, D + M]: pooled features, then the instances' scores before the softmax."""

    def __init__(self, size: int, widths: Sequence[int], attention_size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(size, width), nn.ReLU()]
            size = width
        self.instances = nn.Sequential(*layers)
        self.value = nn.Linear(size, attention_size)
        self.gate = nn.Linear(size, attention_size)
        self.score = nn.Linear(attention_size, 1)
        self.num_features = size

    def forward(self, x: Tensor) -> Tensor:
        instances = self.instances(x.flatten(2))
        scores = self.score(self.value(instances).tanh() * self.gate(instances).sigmoid()).squeeze(-1)
        pooled = (scores.softmax(-1).unsqueeze(-1) * instances).sum(1)
        return torch.cat([pooled, scores], -1)


def attention_pooling(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Sequence[Annotated[int, Ge(1)]] = (64, 64),
    attention_size: Annotated[int, Ge(1)] = 32,
) -> Model:
    """Bags of instances, [M, ...]; weights start as torch.nn.Linear's do.

    widths          units of each hidden layer of the perceptron, which all instances share
    attention_size  rows of V and U
    """
    if len(input_shape) < 2:
        raise UsageError(
            f"model=attention_pooling reads bags [instances, ...], and the inputs of this data set have the shape "
            f"{list(input_shape)}. Choose dataset=digits_bags, or model=mlp."
        )
    body = AttentionPooling(math.prod(input_shape[1:]), widths, attention_size)
    return Model(body, LeadingLinear(body.num_features, num_outputs), num_features=body.num_features)
