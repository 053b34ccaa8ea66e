"""Random tokens: of each sequence only some tokens count, drawn anew in every step.

    w_t = number / kept for kept = ceil(fraction number) random ones of the ``number`` tokens that count, otherwise 0

mask      [B, T] true where a token counts        token_uniforms  [B, T] the draws
fraction  in (0, 1]; 1 keeps all
Returns   [B, T] weight of each token: with equal lengths the mean over all tokens is that over the kept ones
Numerics  none needed
Paper     a baseline of Xu et al. 2026, arXiv:2604.14084
Differs   nothing
"""

from typing import Annotated

from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.reweightings.kept_tokens import largest


def random_tokens(
    mask: Bool[Tensor, "B T"],
    token_uniforms: Float[Tensor, "B T"],
    *,
    fraction: Annotated[float, Interval(gt=0, le=1)] = 0.5,
) -> Float[Tensor, "B T"]:
    return largest(token_uniforms, mask, fraction)
