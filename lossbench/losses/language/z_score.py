"""Z-loss of the spherical family: a softplus of how many standard deviations the target's score lies above the mean.

    l = softplus(a (b - z_y)) / a        z = (o - mean(o)) / std(o) over the C scores, with 1 / C in the deviation

logits    [*, C] scores o                           targets   [*] class indices y
a         > 0: how hard the bend is; to infinity, max(0, b - z_y)
b         the z that is aimed for; z_y is at most sqrt(C - 1)
Returns   [*] loss per example, in (0, inf); shift and scale of the scores change nothing
Numerics  scores are centred before they are squared; where all are equal z is 0, and so is its gradient
Paper     de Brebisson and Vincent 2016, arXiv:1604.08859; a and b are tuned there for each task and each k of top-k
Differs   nothing in the value. The paper's algorithm needs only the sum and the sum of squares of the scores and never
          forms them; here they are formed. The authors' public code fixes a = 1 and b = 0, the defaults here. Not the
          z-loss that keeps log-normalisers small
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from lossbench.ops import safe_norm


def z_score(
    logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"], *, a: Annotated[float, Gt(0)] = 1.0, b: float = 0.0
) -> Float[Tensor, "*b"]:
    centred = logits - logits.mean(-1, keepdim=True)
    # In units of the largest deviation, so that no square overflows or underflows.
    largest = centred.abs().amax(-1, keepdim=True)
    flat = largest <= 8 * torch.finfo(logits.dtype).eps * logits.abs().amax(-1, keepdim=True)
    scaled = torch.where(flat, 0.0, centred / torch.where(flat, 1.0, largest).detach())
    deviation = safe_norm(scaled) / logits.shape[-1] ** 0.5
    own = scaled.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    z = own / torch.where(flat.squeeze(-1), 1.0, deviation)
    return softplus(a * (b - z)) / a
