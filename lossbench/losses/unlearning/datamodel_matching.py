"""Datamodel matching: the logits are drawn to those that a model without the forget set is predicted to have.

    l_i = 1 / C sum_c (z_ic - a_ic)^2        a_ic = z0_ic - sum_{j in forget set} tau_jc(x_i)

z0 are the logits of the base model and tau_j(x) is what the training example j adds to them, by data attribution. The
predictions are the task's (attribution=...); with attribution=retrained, which is not to be had where unlearning is
needed, this is oracle matching.

logits             [B, C] unnormalised scores z
attributed_logits  [B, C] predictions a, without gradient
Returns   [B] loss per example
Numerics  none needed
Paper     Georgiev et al. 2024, arXiv:2410.23232: oracle matching and datamodel matching; the form is that of the
          authors' code, which has the mean over the logits of the squared difference
Differs   nothing that is known; equation numbers were not seen
"""

from jaxtyping import Float
from torch import Tensor

from lossbench.ops import stopgrad


def datamodel_matching(logits: Float[Tensor, "B C"], attributed_logits: Float[Tensor, "B C"]) -> Float[Tensor, "B"]:
    return (logits - stopgrad(attributed_logits)).square().mean(-1)
