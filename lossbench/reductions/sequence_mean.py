"""Sequence mean: the mean over the valid tokens of each sequence, then every sequence counts the same.

    m_i = sum_t mask_it values_it / n_i        n_i = sum_t mask_it
    total / count = sum_{i: n_i > 0} m_i / #{i: n_i > 0}

values    [B, T], or [B], where it is the plain mean
mask      of the same shape, true where an element counts; None: everywhere
Returns   (total, count): the sequences with at least one valid token; micro-batches and ranks add up exactly
Numerics  masked values may be NaN or infinite: they change neither value nor gradient
Paper     Shao et al. 2024 (GRPO), arXiv:2402.03300, eq. 3, as the 1/|o_i| inside the mean over the group
"""

from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import masked_mean
from lossbench.reductions.mean import mean


def sequence_mean(values: Float[Tensor, "*b"], mask: Bool[Tensor, "*b"] | None = None) -> tuple[Tensor, Tensor | int]:
    if values.ndim == 1:
        return mean(values, mask)
    if mask is None:
        return values.mean(-1).sum(), len(values)
    return masked_mean(values, mask, dim=-1).sum(), mask.any(-1).sum()
