"""NPO: the losing half of DPO. What is to be forgotten is made less likely than under the base model.

    l_i = -w_i 2 / beta log sigmoid(-beta log r_i)        r_i = pi(y_i | x_i) / ref(y_i | x_i)
        = w_i 2 / beta log(1 + r_i^beta)                  w_i = N / |forget set| for its members, 0 for others

Its gradient is that of gradient ascent times 2 r^beta / (1 + r^beta): 1 at the base model, 0 for what is forgotten. For
beta -> 0 it is gradient ascent: l_i - w_i 2 / beta log 2 -> w_i log r_i. What is to be kept is left to regularizers:
retain_cross_entropy (NPO+RT) or retain_divergence (NPO+KL).

completion_logps      [B] log pi(y | x)         forget_weights  [B] as above
ref_completion_logps  [B] log ref(y | x), of the base model
beta      > 0; the larger, the sooner an example counts as forgotten
Returns   [B] loss per example; its mean over all training examples is the mean over the forget set
Numerics  log sigmoid, never of a ratio
Paper     Zhang et al. 2024, arXiv:2404.05868, and the authors' code, which agree with this formula
Differs   nothing
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def npo(
    completion_logps: Float[Tensor, "B"],
    ref_completion_logps: Float[Tensor, "B"],
    forget_weights: Float[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, "B"]:
    return -2 / beta * forget_weights * logsigmoid(-beta * (completion_logps - ref_completion_logps))
