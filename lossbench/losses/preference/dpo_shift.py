"""DPO-Shift: DPO whose rejected log-ratio counts less, so that the chosen completion need not lose likelihood.

    l_i = -log sigmoid(beta (log pi(w_i) / ref(w_i) - f log pi(l_i) / ref(l_i)))
    f = start + (end - start) progress

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
progress        [] part of the training that is done
start           in (0, 1], factor in the beginning        end   in (0, 1], at the end; both 1 is dpo
beta            > 0, as in dpo
Returns   [B] loss per pair
Numerics  log sigmoid
Paper     Yang et al. 2025, arXiv:2502.07599: f fixed, or linear in the steps
Differs   nothing
"""

from typing import Annotated

from annotated_types import Gt, Interval
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_shift(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    progress: Float[Tensor, ""],
    *,
    start: Annotated[float, Interval(gt=0, le=1)] = 0.75,
    end: Annotated[float, Interval(gt=0, le=1)] = 0.75,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    factor = start + (end - start) * progress
    chosen, rejected = chosen_logps - ref_chosen_logps, rejected_logps - ref_rejected_logps
    return -logsigmoid(beta * (chosen - factor * rejected))
