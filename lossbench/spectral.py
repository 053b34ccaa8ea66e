"""Spectral risks: sums of sorted losses, the larger ones weighed more; smoothed by a penalty on the weights."""

from typing import Literal

import torch
from torch import Tensor

Risk = Literal["superquantile", "extremile", "exponential"]


def spectrum(n: int, risk: Risk, level: float) -> Tensor:
    """[n] the weights sigma of the sorted losses, from the smallest to the largest; they rise and sum to 1. float64.

    superquantile   1 / (n (1 - level)) on the part 1 - level of the largest, the one at the cut in part; level < 1
    extremile       (i/n)^level - ((i - 1)/n)^level; level >= 1
    exponential     e^-level (e^(level i/n) - e^(level (i - 1)/n)) / (1 - e^-level); level > 0
    """
    edges = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    if risk == "superquantile":
        below = ((edges - level) / (1 - level)).clamp(min=0)
    elif risk == "extremile":
        below = edges**level
    else:
        below = torch.expm1(level * edges) / torch.expm1(torch.tensor(level, dtype=torch.float64))
    return below.diff()


def spectral_weights(losses: Tensor, sigma: Tensor, smoothing: float) -> Tensor:
    """argmax_q <q, l> - n smoothing / 2 |q - 1/n|^2 over the permutahedron of sigma; q rises with the losses.

    It is the projection of z = 1/n + l / (n smoothing): with z sorted, z - iso(z - sigma), iso the non-decreasing
    isotonic regression. On the processor, in float64. smoothing = 0: sigma in the order of the losses.
    """
    from scipy.optimize import isotonic_regression

    ordered, order = losses.detach().double().cpu().sort(stable=True)
    n = len(sigma)
    found = sigma
    if smoothing > 0:
        z = 1 / n + ordered / (n * smoothing)
        found = z - torch.from_numpy(isotonic_regression((z - sigma).numpy()).x)
    return torch.empty_like(found).scatter_(0, order, found).to(losses)


def spectral_risk(losses: Tensor, sigma: Tensor, smoothing: float) -> Tensor:
    """[] the smoothed risk: <q, l> - n smoothing / 2 |q - 1/n|^2 at its maximum."""
    q = spectral_weights(losses, sigma, smoothing)
    return q @ losses - len(sigma) * smoothing / 2 * (q - 1 / len(sigma)).square().sum()
