"""Distance covariance: dependence of any kind between random vectors, from the distances between their samples."""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import safe_norm


def centred_distances(points: Float[Tensor, "B D"], unbiased: bool) -> Float[Tensor, "B B"]:
    """Distances a_kl = |x_k - x_l|, centred so that rows and columns sum to 0, with the sign of a covariance.

        unbiased   a_k. / (n - 2) + a_.l / (n - 2) - a_kl - a_.. / ((n - 1) (n - 2)), and 0 where k = l; needs n > 3
        biased     a_k. / n + a_.l / n - a_kl - a_.. / n^2

    The gradient of a distance of 0 is 0.
    Source   Szekely et al. 2007; Chakraborty and Zhang 2019, sections 3.1 and 3.2
    """
    n = len(points)
    distances = safe_norm(points.unsqueeze(1) - points.unsqueeze(0))
    rows = distances.sum(1, keepdim=True)
    if not unbiased:
        return rows / n + rows.mT / n - distances - rows.sum() / n**2
    centred = rows / (n - 2) + rows.mT / (n - 2) - distances - rows.sum() / ((n - 1) * (n - 2))
    return torch.where(torch.eye(n, dtype=torch.bool, device=points.device), 0, centred)


def squared_distance_covariance(
    first: Float[Tensor, "B D"], second: Float[Tensor, "B E"], unbiased: bool
) -> Float[Tensor, ""]:
    """dCov^2 of two samples: the mean product of their centred distances; 0 in expectation where they are independent.

    The unbiased estimate divides by n (n - 3) and may be negative, and is taken to be 0 for fewer than 4 examples; the
    biased one divides by n^2 and may not.
    """
    n = len(first)
    if unbiased and n < 4:
        return 0 * first.sum()
    products = (centred_distances(first, unbiased) * centred_distances(second, unbiased)).sum()
    return products / (n * (n - 3) if unbiased else n**2)


def probabilities(logits: Float[Tensor, "B C"]) -> Float[Tensor, "B D"]:
    """What a classifier predicts, as a vector: the probability of the second of two classes, or of all classes."""
    p = logits.softmax(-1)
    return p[:, 1:] if p.shape[-1] == 2 else p
