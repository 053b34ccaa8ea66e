"""Smooth adversarial comp-sum: a comp-sum loss of the margins plus how far an attack moves the vector of margins.

    comp_sum   Phi(sum_{c != y_i} exp(-d_i[c] / temperature))       d_i[c] = z_i[y_i] - z_i[c]
    robust     weight |d'_i - d_i|                                  d' the same of the attacked input, |.| Euclidean

Phi as in comp_sum, with its tau.

clean_logits        [B, C] scores z of x_i            targets   [B] class indices y
adversarial_logits  [B, C] scores z' of x'_i, where an attack has made |d' - d| large
          (loss@task.attack_loss=adversarial_comp_sum)
tau       >= 0: 0 sum-exponential, 1 logistic, 2 bounded
temperature  > 0, rho in the paper
weight    >= 0, nu in the paper; with temperature = 1, 0 is comp_sum
Returns   {"comp_sum": [B], "robust": [B]}
Numerics  as in comp_sum; the gradient of the norm at d' = d is 0
Paper     Mao, Mohri and Zhong 2023, arXiv:2304.07288, the algorithm ADV-COMP-SUM
Differs   nothing known. Their guarantee needs weight >= sqrt(C - 1) / temperature: Phi is 1-Lipschitz, each of the
          C - 1 terms of its sum can be replaced by a ramp of slope 1 / temperature in the margin, and by Cauchy-Schwarz
          the sum of these moves by at most sqrt(C - 1) / temperature |d' - d|. tau = 0.4 and temperature = weight = 1
          are said to be what their experiments use; the text could not be consulted for that
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.classification.comp_sum import comp_sum
from lossbench.ops import safe_norm


def adversarial_comp_sum(
    clean_logits: Float[Tensor, "B C"],
    adversarial_logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    *,
    tau: Annotated[float, Ge(0)] = 0.4,
    temperature: Annotated[float, Gt(0)] = 1.0,
    weight: Annotated[float, Ge(0)] = 1.0,
) -> dict[str, Float[Tensor, "B"]]:
    moved = adversarial_logits - clean_logits
    moved = moved.gather(-1, targets.unsqueeze(-1)) - moved  # of the margins; that of the true class with itself is 0
    return {
        "comp_sum": comp_sum(clean_logits / temperature, targets, tau=tau),
        "robust": weight * safe_norm(moved),
    }
