"""Orthogonal projection (OPL): features of a class point the same way, those of two classes at right angles.

    l = weight ((1 - s) + gamma d)        cos_ij = <f_i, f_j> / (|f_i| |f_j|)
    s = mean of cos_ij over the pairs i != j with y_i = y_j;  d = mean of |cos_ij| over those with y_i != y_j

features  [B, D] input of the model's head      targets   [B] class indices y
weight    >= 0 (the paper's lambda); 0 is no regularizer
gamma     >= 0: how much other classes count against the own
Returns   [] one value for the batch. It does not add over micro-batches
Numerics  a mean over no pairs is 0; a feature of norm 0 has cosine 0 with all, and no gradient
Paper     Ranasinghe et al. 2021, arXiv:2103.14021; gamma = 0.5 and weight = 1 as in the authors' description
Differs   the paper writes |mean| over the pairs of two classes; the authors' code has the mean of |.|, as here. Their
          code adds 1e-6 to the numbers of pairs, and its scripts have gamma = 2, weight = 0.1
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import normalize


def orthogonal_projection(
    features: Float[Tensor, "B D"],
    targets: Int[Tensor, "B"],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
    gamma: Annotated[float, Ge(0)] = 0.5,
) -> Float[Tensor, ""]:
    directions = normalize(features)
    cosines = directions @ directions.T
    alike = targets.unsqueeze(0) == targets.unsqueeze(1)
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    same, other = alike & ~itself, ~alike
    s = torch.where(same, cosines, 0).sum() / same.sum().clamp(min=1)
    d = torch.where(other, cosines.abs(), 0).sum() / other.sum().clamp(min=1)
    return weight * (1 - s + gamma * d)
