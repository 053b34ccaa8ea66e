"""Comp-sum: the family of functions of sum_c exp(z[c] - z[y]) that has cross-entropy, GCE and MAE in it.

    l_i = Phi(sum_{c != y_i} exp(z_i[c] - z_i[y_i]))        Phi(u) = ((1 + u)^(1 - tau) - 1) / (1 - tau)
        = (p_i[y_i]^(tau - 1) - 1) / (1 - tau)              Phi(u) = log(1 + u) at tau = 1

logits    [*, C] unnormalised scores z          targets   [*] class indices y
tau       >= 0: 0 is the sum-exponential loss, 1 is cross_entropy, between 1 and 2 generalised cross-entropy with
          q = tau - 1, 2 is half the mean absolute error, 1 - p
Returns   [*] loss per example
Numerics  expm1((1 - tau) l) / (1 - tau) of the cross-entropy l, without a power. Below tau = 1 it grows as
          exp((1 - tau) l), and overflows where that does; above 1 it is bounded, so that its gradient vanishes where
          the model is confidently wrong
Paper     Mao, Mohri and Zhong 2023, arXiv:2304.07288
Differs   nothing
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p


def comp_sum(
    logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"], *, tau: Annotated[float, Ge(0)] = 1.0
) -> Float[Tensor, "*b"]:
    nll = -true_class_log_p(logits, targets)
    power = torch.as_tensor(1 - tau, dtype=nll.dtype, device=nll.device)
    at_one = power == 0
    # Where tau is 1 the other branch gets -1, with which it is bounded: where() would pass an infinite gradient on.
    power = torch.where(at_one, -1, power)
    return torch.where(at_one, nll, torch.expm1(power * nll) / power)
