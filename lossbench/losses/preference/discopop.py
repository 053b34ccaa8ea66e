"""DiscoPOP: a mixture of the logistic and the exponential loss, by a sigmoid of the margin itself.

    l_i = (1 - m_i) (-log sigmoid(x_i)) + m_i exp(-x_i)        x_i = beta h_i        m_i = sigmoid(x_i / tau)
    h_i = log pi(w_i) / ref(w_i) - log pi(l_i) / ref(l_i)        w: chosen, l: rejected

chosen_logps    [B] log pi(w)         ref_chosen_logps    [B] log ref(w)
rejected_logps  [B] log pi(l)         ref_rejected_logps  [B] log ref(l)
beta            > 0, as in dpo
tau             > 0, how far the two losses mix; infinite is their mean
Returns   [B] loss per pair. It is not convex: with the defaults there is a minimum at h = -2.37 and a maximum at 1.44;
          a policy at its reference, h = 0, is drawn to the former until noise carries its pairs over the latter
Numerics  m exp(-x) as one exponential, which goes on as its tangent above 60
Paper     Lu et al. 2024, arXiv:2406.08414, section on DiscoPOP (the log-ratio modulated loss)
Differs   the authors' code overflows for large negative margins; an older version of it has m = sigmoid(h)
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lossbench.ops import exp_then_tangent


def discopop(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    *,
    beta: Annotated[float, Gt(0)] = 0.05,
    tau: Annotated[float, Gt(0)] = 0.05,
) -> Float[Tensor, "B"]:
    x = beta * ((chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps))
    return -(-x / tau).sigmoid() * logsigmoid(x) + exp_then_tangent(logsigmoid(x / tau) - x)
