"""EnsLoss: each batch gets the slopes of another random convex loss, a dropout over losses.

    l = 1 / B sum_i g_i s_i        s_i = logits_i[y_i] - max_{c != y_i} logits_i[c]        dl/ds_i = g_i / B

g are constants: -min(h(u_i), 1) of the random u = example_noise, in ascending order handed to the examples in ascending
order of s (the smaller the margin, the steeper: convexity), times 1 / s_i where s_i > 1 (the tail), minus 1e-6.
h(u) = max(1 + power u, 0)^(1 / power) is the inverse Box-Cox transformation; exp(u) for power = 0.

logits    [B, C] scores                         targets   [B] class indices y
example_noise  [B] standard normal numbers u
power     in [-1, 1]: the transformation's parameter (the paper's lambda)
Returns   [] a surrogate for the batch: only its gradient has a meaning. It does not add over micro-batches
Numerics  the ranks of s by a stable sort, so that of equal margins the earlier example has the steeper slope
Paper     Dai 2024, arXiv:2409.00908; power = 0 is what the authors' code has unless it redraws it
Differs   power is fixed; the authors' code can redraw it from (-1, 1) every few epochs. The paper has two classes, for
          which f(x) is the difference of the two scores; with more, the margin against the best other is ours
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import margin, stopgrad

SMALLEST_SLOPE = 1e-6


def ensloss(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    example_noise: Float[Tensor, "B"],
    *,
    power: Annotated[float, Interval(ge=-1, le=1)] = 0.0,
) -> Float[Tensor, ""]:
    s = margin(logits, targets)
    fixed = stopgrad(s)
    steepest_first = (-_inverse_box_cox(example_noise, power).clamp(max=1)).sort().values
    slopes = steepest_first[fixed.argsort(stable=True).argsort()]
    tail = torch.where(fixed > 1, 1 / fixed.clamp(min=1), 1)
    return ((slopes * tail - SMALLEST_SLOPE) * s).mean()


def _inverse_box_cox(u: Float[Tensor, "B"], power: float | Tensor) -> Float[Tensor, "B"]:
    given = torch.as_tensor(power, dtype=u.dtype, device=u.device)
    exponent = torch.where(given == 0, 1, given)
    base = (1 + exponent * u).clamp(min=0)
    return torch.where(given == 0, u.exp(), base ** (1 / exponent))  # 0 to a negative power is infinity, which is cut
