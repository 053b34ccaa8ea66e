"""f-DPO: DPO whose policy is held to the reference by another f-divergence than the reverse KL.

    l_i = -log sigmoid(beta (f'(u_w) - f'(u_l)))        u_w = pi(w_i) / ref(w_i), w: chosen, l: rejected

    reverse_kl      f'(u) = log u + 1           jensen_shannon  f'(u) = log(2 u / (1 + u))
    forward_kl      f'(u) = -1 / u              alpha           f'(u) = (1 - u^-alpha) / alpha

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
divergence      what E[reward] - beta D_f(policy || reference) has as D_f; reverse_kl is dpo
alpha           in (0, 1), of that divergence alone; near 0 it is the reverse KL, near 1 the forward KL
beta            > 0, strength of the divergence
Returns   [B] loss per pair
Numerics  of log u; above 60, exp goes on as its tangent, so that value and gradient stay finite
Paper     Wang et al. 2023, arXiv:2309.16240, eq. 9 with the derivatives of its table 1
Differs   the authors' code overflows for u below exp(-88) in float32
"""

from typing import Annotated, Literal

from annotated_types import Gt, Interval
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from lossbench.ops import exp_then_tangent

Divergence = Literal["reverse_kl", "forward_kl", "jensen_shannon", "alpha"]


def f_dpo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    *,
    divergence: Divergence = "jensen_shannon",
    alpha: Annotated[float, Interval(gt=0, lt=1)] = 0.5,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    chosen, rejected = (
        _derivative(policy - reference, divergence, alpha)
        for policy, reference in ((chosen_logps, ref_chosen_logps), (rejected_logps, ref_rejected_logps))
    )
    return -logsigmoid(beta * (chosen - rejected))


def _derivative(log_u: Tensor, divergence: Divergence, alpha: float) -> Tensor:
    """f'(u), up to a constant."""
    if divergence == "forward_kl":
        return -exp_then_tangent(-log_u)
    if divergence == "jensen_shannon":
        return -softplus(-log_u)
    if divergence == "alpha":
        return -(exp_then_tangent(-alpha * log_u) - 1) / alpha
    return log_u
