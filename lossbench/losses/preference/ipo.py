"""IPO: the difference of the log-ratios to the reference is drawn to a finite margin, with a square.

    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected
    l_i = (h_i - 1 / (2 beta))^2

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
beta            > 0, strength of the KL to the reference; the paper's tau
Returns   [B] loss per pair
Numerics  plain
Paper     Azar et al. 2023, arXiv:2310.12036, eq. 17
Differs   some libraries take means over tokens in the place of sums; here, as in the paper, sums
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor


def ipo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    h = (chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps)
    return (h - 1 / (2 * beta)).square()
