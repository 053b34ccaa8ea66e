"""Token mean: every valid token counts the same, so that a long sequence weighs more than a short one.

    total / count = sum_it mask_it values_it / sum_it mask_it

values    [B, T], nothing else: where the loss gives one value per example the name would promise too much
mask      [B, T] true where a token counts; None: everywhere
Returns   (total, count); micro-batches and ranks add up exactly
Numerics  masked values may be NaN or infinite: they change neither value nor gradient
Paper     Yu et al. 2025 (DAPO), arXiv:2503.14476, section 3.3, as the token-level policy gradient loss
"""

from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.errors import UsageError
from lossbench.reductions.mean import mean


def token_mean(values: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"] | None = None) -> tuple[Tensor, Tensor | int]:
    if values.ndim != 2:
        raise UsageError(
            f"reduction=token_mean: the loss gives values of shape {list(values.shape)}, which have no axis of tokens. "
            "Choose reduction=mean, or a loss with one value per token."
        )
    return mean(values, mask)
