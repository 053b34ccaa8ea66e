"""H-DPO: DPO with a weight of its own for the entropy of the policy.

    l_i = -log sigmoid(beta ((alpha log pi(w_i) - log ref(w_i)) - (alpha log pi(l_i) - log ref(l_i))))

The penalty is -alpha H(pi) + cross-entropy(pi, ref): its optimum is pi ~ ref^(1 / alpha) exp(r / (alpha beta)).

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
alpha           > 0, weight of the entropy; 1 is dpo, less makes the policy more certain
beta            > 0, strength of the penalty
Returns   [B] loss per pair
Numerics  log sigmoid
Paper     Omura et al. 2024, arXiv:2411.07595
Differs   nothing
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def h_dpo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    *,
    alpha: Annotated[float, Gt(0)] = 0.95,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    chosen, rejected = alpha * chosen_logps - ref_chosen_logps, alpha * rejected_logps - ref_rejected_logps
    return -logsigmoid(beta * (chosen - rejected))
