"""Harmonic: a class is the likelier, the nearer its vector is to the features; with cross-entropy, the harmonic loss.

    p_c = d_c^-exponent / sum_k d_k^-exponent      logits_c = -exponent log d_c      d_c = distance(h, w_c) + epsilon

distance   euclidean |h - w|, manhattan sum |h - w|, chebyshev max |h - w|, minkowski (sum |h - w|^order)^(1/order),
           cosine 1 - <h, w> / (|h| |w|), canberra sum |h - w| / (|h| + |w|), bray_curtis sum |h - w| / sum |h + w|,
           mahalanobis |L^T (h - w)| with a learned lower triangle L that starts as the identity
exponent   > 0
order      >= 1: of minkowski alone
epsilon    > 0: added to the distance, which bounds the logits; also to the denominators of canberra and bray_curtis
Numerics   differences of all features and all classes, [*, C, D], except for cosine; norms have gradient 0 at 0
Paper      Miller-Golub et al. 2026, arXiv:2603.10225, harmonic loss with other distances than the Euclidean one of Baek
           et al. 2025, arXiv:2502.01628; exponent = 1, order = 1.5 and epsilon = 1e-4 are in the authors' settings
Differs    the authors' image models return -(d + epsilon)^-exponent as logits, by which the nearest class is the
           unlikeliest; here p is the paper's. Their Euclidean distance is squared, their Chebyshev distance a
           softmax-weighted mean, their Bray-Curtis denominator |sum (h + w)|, and their Mahalanobis matrix learned
           without staying positive definite; here the distances are the textbook's, as scipy has them
"""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.ops import normalize, safe_norm

Distance = Literal[
    "euclidean", "manhattan", "chebyshev", "minkowski", "cosine", "canberra", "bray_curtis", "mahalanobis"
]


def harmonic(
    *,
    num_features: int,
    num_outputs: int,
    distance: Distance = "cosine",
    exponent: Annotated[float, Gt(0)] = 1.0,
    order: Annotated[float, Ge(1)] = 1.5,
    epsilon: Annotated[float, Gt(0)] = 1e-4,
) -> nn.Module:
    return Harmonic(num_features, num_outputs, distance, exponent, order, epsilon)


class Harmonic(nn.Module):
    """weight [C, D] the classes' vectors, which start as torch.nn.Linear's do; triangle [D, D] of mahalanobis."""

    def __init__(
        self, num_features: int, num_outputs: int, distance: Distance, exponent: float, order: float, epsilon: float
    ):
        super().__init__()
        self.distance, self.exponent, self.order, self.epsilon = distance, exponent, order, epsilon
        bound = 1 / math.sqrt(num_features)
        self.weight = nn.Parameter(torch.empty(num_outputs, num_features).uniform_(-bound, bound))
        if distance == "mahalanobis":
            self.triangle = nn.Parameter(torch.eye(num_features))

    def forward(self, features: Tensor) -> Tensor:
        return -self.exponent * (self.distances(features) + self.epsilon).log()

    def distances(self, features: Tensor) -> Tensor:
        """[*, C] from the features [*, D] to each class."""
        if self.distance == "cosine":
            return 1 - normalize(features) @ normalize(self.weight).mT
        h, w = features.unsqueeze(-2), self.weight
        difference = h - w
        match self.distance:
            case "euclidean":
                return safe_norm(difference)
            case "mahalanobis":
                return safe_norm(difference @ self.triangle.tril())
            case "manhattan":
                return difference.abs().sum(-1)
            case "chebyshev":
                return difference.abs().amax(-1)
            case "minkowski":
                return self._minkowski(difference.abs())
            case "canberra":
                return (difference.abs() / (h.abs() + w.abs() + self.epsilon)).sum(-1)
            case "bray_curtis":
                return difference.abs().sum(-1) / ((h + w).abs().sum(-1) + self.epsilon)

    def _minkowski(self, size: Tensor) -> Tensor:
        """In units of the largest difference, so that no power over- or underflows; a distance of 0 has no gradient."""
        largest = size.detach().amax(-1, keepdim=True)
        unit = torch.where(largest == 0, 1, largest)
        total = (size / unit).pow(self.order).sum(-1)
        root = torch.where(total == 0, 1, total).pow(1 / self.order)
        return torch.where(total == 0, 0, root) * unit.squeeze(-1)
