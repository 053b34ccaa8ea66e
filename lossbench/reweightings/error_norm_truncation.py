"""Error norm truncation: a token whose error vector is long does not count.

    w_t = [e_t <= c]        e_t = || softmax(logits_t) - onehot(y_t) ||, in [0, sqrt 2]

logits     [*, C] unnormalised scores               targets    [*] class indices y
mask       [*] true where a token counts            progress   [] part of the training budget that is spent
threshold  c, >= 0; null: c is such that ``fraction`` of the tokens that count are above it in this batch
fraction   in [0, 1): 0 keeps all; it looks at the whole batch
start      in [0, 1]: part of the training budget during which every token counts: a model that knows nothing yet has
           long error vectors everywhere
Returns   [*] weight of each token, 0 or 1
Numerics  e^2 = sum_c p_c^2 - 2 p_y + 1, from below clamped to 0
Paper     Li et al. 2023, arXiv:2310.00840; thresholds between 1.1 and 1.4, fractions between 0.05 and 0.2
Differs   the authors' code counts padding among the tokens that the fraction is of, here only what counts does; for
          language models it averages e over a sequence and drops sequences, which is not this. As there, what is
          dropped still counts in the mean
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Bool, Float, Int
from torch import Tensor


def error_norm_truncation(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    mask: Bool[Tensor, "*b"],
    progress: Float[Tensor, ""],
    *,
    threshold: Annotated[float, Ge(0)] | None = None,
    fraction: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
    start: Annotated[float, Interval(ge=0, le=1)] = 0.2,
) -> Float[Tensor, "*b"]:
    p = logits.softmax(-1)
    of_target = p.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    error = (p.square().sum(-1) - 2 * of_target + 1).clamp(min=0).sqrt()
    if threshold is None:
        ordered = torch.where(mask, error, -torch.inf).flatten().sort(descending=True).values
        dropped = (fraction * mask.sum()).long()
        limit = ordered.gather(0, dropped.unsqueeze(0)).squeeze(0)
    else:
        limit = threshold * torch.ones_like(progress)
    kept = (error <= limit) | (progress < start)
    return kept.to(logits.dtype)
