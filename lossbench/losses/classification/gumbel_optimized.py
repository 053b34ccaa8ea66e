"""Gumbel optimized: one problem for each class, with the Gumbel distribution function in the place of the sigmoid.

    l_i = -1 / C sum_c ( y_c log eta(z_c) + (1 - y_c) log(1 - eta(z_c)) )        eta(z) = exp(-exp(-z))
    z = logits_i        y = labels_i

logits    [*, C] scores; eta(z) is the probability of each class        labels    [*, C] indicators y in [0, 1]
lowest    <= 0: below it, the loss of a positive, exp(-z), goes on in a straight line
Returns   [*] loss per example: the mean over its classes, as binary_cross_entropy has it
Numerics  log eta(z) = -exp(-z) is exact; 1 - eta by expm1, above z = 10 by its series. The loss of a positive grows
          exponentially below 0, hence lowest: its gradient is at most exp(-lowest), 54.6
Paper     Alexandridis et al. 2022, arXiv:2207.10936
Differs   the paper sums over the classes. The authors' code clamps z to [-4, 10] and the reduced loss to [0, 20], which
          has gradient 0 outside, so that a positive below -4 is never learnt; here it keeps the gradient it has at -4.
          Their detector starts with biases of -2 and weights near 0, and adds DropLoss, a normalised mask head and
          resampling, none of which is part of this loss
"""

from typing import Annotated

import torch
from annotated_types import Le
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import log1mexp

SERIES_ABOVE = 10.0
VANISHED_BELOW = -4.0  # 1 - eta differs from 1 by exp(-54.6)


def gumbel_optimized(
    logits: Float[Tensor, "*b C"], labels: Float[Tensor, "*b C"], *, lowest: Annotated[float, Le(0)] = -4.0
) -> Float[Tensor, "*b"]:
    bounded = torch.maximum(logits, lowest * torch.ones_like(logits))
    steepest = torch.exp(-lowest * logits.new_ones(()))
    positive = torch.exp(-bounded) + steepest * (bounded - logits)
    # Each branch gets an argument that is harmless where the other one is taken.
    middle = -log1mexp(-torch.exp(-logits.clamp(VANISHED_BELOW, SERIES_ABOVE)))
    large = logits.clamp(min=SERIES_ABOVE)
    negative = torch.where(logits > SERIES_ABOVE, large + torch.exp(-large) / 2, middle)
    return (labels * positive + (1 - labels) * negative).mean(-1)
