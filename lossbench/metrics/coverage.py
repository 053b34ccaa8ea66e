"""Coverage: whether the right answer is among several that are sampled from a language model."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.metrics.ranking import precise

SAMPLES = (1, 16, 256)


def pass_at(
    target_log_p: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"], *, samples: tuple[int, ...] = SAMPLES
) -> dict[str, Float[Tensor, ""]]:
    """{pass_n: mean over the sequences of 1 - (1 - p)^n}, p the product of its tokens' probabilities.

    The expectation of pass@n, where an answer is right if it is the target: nothing has to be sampled. Sequences of
    which no token counts are left out.
    Source  Chen et al. 2025, arXiv:2502.07154; pass@n: Chen et al. 2021, arXiv:2107.03374
    """
    there = mask.any(1)
    p = torch.where(mask, precise(target_log_p), 0.0).sum(1).exp()
    # log1p(-1) is -inf, and 0 times the other branch would be NaN; p = 1 is found at once.
    missed = torch.log1p(-p.clamp(max=1 - 1e-12))
    return {f"pass_{n}": torch.where(there, -(n * missed).expm1(), 0.0).sum() / there.sum() for n in samples}
