"""Members: several heads on one body, each with initial weights of its own; for task=ensemble.

num_members   how many, >= 1
kind          linear, or cosine: cosine_classifier
scale         > 0: that of the cosine classifiers; linear heads have none
Outputs       [*, M, C] the logits of each member
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.heads.cosine_classifier import Cosine


def members(
    *,
    num_features: int,
    num_outputs: int,
    num_members: Annotated[int, Ge(1)] = 3,
    kind: Literal["linear", "cosine"] = "linear",
    scale: Annotated[float, Gt(0)] = 30.0,
) -> nn.Module:
    if kind == "cosine":
        return Cosine(num_features, num_outputs, scale, num_members)
    return Linear(num_features, num_outputs, num_members)


class Linear(nn.Module):
    """weight   [M, C, D]        bias   [M, C]"""

    def __init__(self, num_features: int, num_outputs: int, num_members: int):
        super().__init__()
        parts = [nn.Linear(num_features, num_outputs) for _ in range(num_members)]  # drawn as torch draws each
        self.weight = nn.Parameter(torch.stack([part.weight.detach() for part in parts]))
        self.bias = nn.Parameter(torch.stack([part.bias.detach() for part in parts]))

    def forward(self, features: Tensor) -> Tensor:
        outputs = features @ self.weight.flatten(0, -2).mT
        return outputs.unflatten(-1, self.bias.shape) + self.bias
