"""Hyperbolic: a perceptron into the Poincare ball, and a hyperplane there for each class; for task=one_class.

    v = perceptron(features), shortened to length clip where it is longer        h = exp_0(v)
    logits_k by the hyperplane of class k through p_k with normal a_k

curvature    >= 0: c of the ball; 0 is flat space, where h = v and logits_k = 4 <h - p_k, a_k>
size         numbers of a point h
widths       units of the hidden layers of the perceptron
clip         > 0: greatest length of v
Outputs      [*, C + size] the logits, and behind them the point h
Paper        Narayan and Patel 2024, arXiv:2404.14406; hyperplanes of Ganea et al. 2018, arXiv:1805.09112, section 3.1
Differs      their widths are 8192, 1000 and 512. A ReLU follows the last layer there, as here; the gradient through
             exp_0 is not multiplied by ((1 - c|h|^2) / 2)^2, and no small numbers are added to norms and denominators
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.hyperbolic import exponential_map, plane_scores
from lossbench.ops import safe_norm


def hyperbolic(
    *,
    num_features: int,
    num_outputs: int,
    curvature: Annotated[float, Ge(0)] = 0.1,
    size: Annotated[int, Ge(1)] = 128,
    widths: Sequence[Annotated[int, Ge(1)]] = (512,),
    clip: Annotated[float, Gt(0)] = 2.0,
) -> nn.Module:
    return Hyperbolic(num_features, num_outputs, curvature, size, widths, clip)


class Hyperbolic(nn.Module):
    """points, normals   [C, size] p, as vectors at 0, and a; both drawn as the weight of torch.nn.Linear is"""

    def __init__(self, features: int, outputs: int, curvature: float, size: int, widths: Sequence[int], clip: float):
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((features, *widths), (*widths, size), strict=True):
            layers += [nn.Linear(before, width), nn.ReLU()]
        self.perceptron = nn.Sequential(*layers)
        self.points = nn.Parameter(nn.Linear(size, outputs).weight.detach().clone())
        self.normals = nn.Parameter(nn.Linear(size, outputs).weight.detach().clone())
        self.curvature, self.clip = curvature, clip

    def forward(self, features: Tensor) -> Tensor:
        vectors = self.perceptron(features)
        vectors = vectors * (self.clip / safe_norm(vectors, keepdim=True).clamp(min=self.clip))
        h = exponential_map(vectors, self.curvature)
        logits = plane_scores(h, exponential_map(self.points, self.curvature), self.normals, self.curvature)
        return torch.cat([logits, h], -1)
