"""Metrics of generated samples against real ones, by the features that an encoder gives of both."""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.metrics.ranking import precise


def frechet_distance(first: Float[Tensor, "N D"], second: Float[Tensor, "M D"]) -> Float[Tensor, ""]:
    """Frechet distance of the Gaussians with the means and covariances of both samples.

        |mean_1 - mean_2|^2 + trace(C_1 + C_2 - 2 (C_1 C_2)^(1/2))

    Source  Heusel et al. 2017, arXiv:1706.08500, eq. 6. The trace of the root is the sum of the singular values of the
            product of the centred samples, divided by the root of (N - 1) (M - 1): no root of a matrix is needed
    """
    a, b = precise(first), precise(second)
    means = (a.mean(0) - b.mean(0)).square().sum()
    a, b = ((x - x.mean(0)) / max(len(x) - 1, 1) ** 0.5 for x in (a, b))
    return means + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.mT).sum()
