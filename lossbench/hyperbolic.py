"""The Poincare ball of curvature -c: the points x with c |x|^2 < 1; c = 0 is flat space. Differentiable and vmappable.

Source  Ganea, Becigneul and Hofmann 2018, arXiv:1805.09112, sections 2 and 3
"""

import torch
from torch import Tensor

from lossbench.ops import safe_norm

BOUNDARY = 1e-5  # of the radius: how near to the boundary a distance is told; float32 cannot tell more


def mobius_add(x: Tensor, y: Tensor, curvature: float | Tensor) -> Tensor:
    """x (+) y = ((1 + 2c<x, y> + c|y|^2) x + (1 - c|x|^2) y) / (1 + 2c<x, y> + c^2 |x|^2 |y|^2); x + y for c = 0."""
    inner = (x * y).sum(-1, keepdim=True)
    of_x, of_y = x.square().sum(-1, keepdim=True), y.square().sum(-1, keepdim=True)
    numerator = (1 + 2 * curvature * inner + curvature * of_y) * x + (1 - curvature * of_x) * y
    denominator = 1 + 2 * curvature * inner + curvature**2 * of_x * of_y
    return numerator / denominator.clamp(min=torch.finfo(x.dtype).eps)


def exponential_map(v: Tensor, curvature: float | Tensor) -> Tensor:
    """Where one arrives from 0 in the direction and by the length of v: tanh(sqrt(c) |v|) v / (sqrt(c) |v|)."""
    length = curvature**0.5 * safe_norm(v, keepdim=True)
    small = length < 1e-6
    safe = torch.where(small, torch.ones_like(length), length)
    return torch.where(small, torch.ones_like(length), safe.tanh() / safe) * v


def distance(x: Tensor, y: Tensor, curvature: float | Tensor) -> Tensor:
    """[*] d_c(x, y) = 2 / sqrt(c) artanh(sqrt(c) |-x (+) y|); 2 |x - y| for c = 0."""
    apart = safe_norm(mobius_add(-x, y, curvature))
    length = curvature**0.5 * apart
    small = length < 1e-6
    safe = torch.where(small, torch.full_like(length, 0.5), length.clamp(max=1 - BOUNDARY))
    reach = torch.where(small, torch.ones_like(length), length)
    return 2 * torch.where(small, apart, safe.atanh() * (apart / reach))


def plane_scores(x: Tensor, points: Tensor, normals: Tensor, curvature: float) -> Tensor:
    """[*, K] scores of x [*, E] by K hyperplanes through points [K, E]: the sign is the side, the size the distance.

        2 |a| / sqrt(c) asinh(2 sqrt(c) <z, a> / ((1 - c|z|^2) |a|))        z = -p (+) x;  4 <x - p, a> for c = 0

    a is the normal in the flat picture: the score is the length of a, times 2, times the signed distance to the plane.
    """
    z = mobius_add(-points, x.unsqueeze(-2), curvature)
    inside = (1 - curvature * z.square().sum(-1)).clamp(min=BOUNDARY)
    slope = 2 * (z * normals).sum(-1) / inside
    if curvature == 0:
        return 2 * slope
    length = normals.norm(dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
    return 2 * length / curvature**0.5 * torch.asinh(curvature**0.5 * slope / length)
