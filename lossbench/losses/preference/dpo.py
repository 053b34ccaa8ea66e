"""DPO: logistic loss of the difference of implicit rewards, beta log(policy / reference).

    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected
    l_i = -(1 - label_smoothing) log sigmoid(beta h_i) - label_smoothing log sigmoid(-beta h_i)

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
beta            > 0, strength of the KL to the reference that the optimum pi ~ ref exp(r / beta) has
label_smoothing in [0, 1/2]: part of the preferences that is taken to be the wrong way round
Returns   [B] loss per pair
Numerics  log sigmoid, never of a probability
Paper     Rafailov et al. 2023, arXiv:2305.18290, eq. 7; label_smoothing: conservative DPO, Mitchell 2023, a note
Differs   nothing
"""

from typing import Annotated

from annotated_types import Gt, Interval
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
    label_smoothing: Annotated[float, Interval(ge=0, le=0.5)] = 0.0,
) -> Float[Tensor, "B"]:
    u = beta * ((chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps))
    return -(1 - label_smoothing) * logsigmoid(u) - label_smoothing * logsigmoid(-u)
