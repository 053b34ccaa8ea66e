"""KTO: the utility of single completions, each desirable or not, against a reference point.

    r_i = log pi(y_i | x_i) / ref(y_i | x_i)        z = max(0, mean_j log pi(y_{j+1} | x_j) / ref(y_{j+1} | x_j))
    l_i = desirable_weight   (1 - sigmoid(beta (r_i - z)))    where y_i is desirable
    l_i = undesirable_weight (1 - sigmoid(beta (z - r_i)))    where it is not

z estimates KL(policy || reference), with prompts and completions that do not belong together; it has no gradient.

completion_logps  [B] log pi(y | x)              ref_completion_logps  [B] log ref(y | x)
mismatched_logps  [B] log pi of the completion of another prompt        ref_mismatched_logps  [B] log ref of it
desirable         [B] whether the completion is wanted
beta              > 0, how fast the utility saturates
desirable_weight    > 0; with few desirable completions, larger
undesirable_weight  > 0
Returns   [B] loss per completion; z looks at the whole batch
Numerics  sigmoid of the negative number in the place of 1 - sigmoid
Paper     Ethayarajh et al. 2024, arXiv:2402.01306, eq. 8
Differs   the authors' code leaves mismatched pairs with a log-ratio of exactly 0 out of the mean
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import stopgrad


def kto(
    completion_logps: Float[Tensor, "B"],
    ref_completion_logps: Float[Tensor, "B"],
    mismatched_logps: Float[Tensor, "B"],
    ref_mismatched_logps: Float[Tensor, "B"],
    desirable: Bool[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
    desirable_weight: Annotated[float, Gt(0)] = 1.0,
    undesirable_weight: Annotated[float, Gt(0)] = 1.0,
) -> Float[Tensor, "B"]:
    z = stopgrad((mismatched_logps - ref_mismatched_logps).mean().clamp(min=0))
    gain = completion_logps - ref_completion_logps - z
    wanted, unwanted = (-beta * gain).sigmoid(), (beta * gain).sigmoid()
    return torch.where(desirable, desirable_weight * wanted, undesirable_weight * unwanted)
