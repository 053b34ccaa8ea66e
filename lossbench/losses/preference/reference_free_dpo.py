"""Reference-free DPO: the logistic loss of the difference of log-probabilities, without a reference.

    l_i = -log sigmoid(beta (log pi(w_i) - log pi(l_i)))        w: chosen, l: rejected

chosen_logps    [B] log pi(w)        rejected_logps  [B] log pi(l)
beta            > 0, of the implicit reward beta log pi
Returns   [B] loss per pair
Numerics  log sigmoid
Paper     Liu et al. 2024, arXiv:2407.13709, the reward that is the posterior probability
Differs   nothing
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def reference_free_dpo(
    chosen_logps: Float[Tensor, "B"], rejected_logps: Float[Tensor, "B"], *, beta: Annotated[float, Gt(0)] = 0.1
) -> Float[Tensor, "B"]:
    return -logsigmoid(beta * (chosen_logps - rejected_logps))
