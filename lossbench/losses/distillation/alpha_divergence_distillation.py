"""Adaptive alpha-divergence distillation: of two alpha-divergences the larger one, for each element.

    D_a(p || q) = (sum_c q_c (p_c / q_c)^a - 1) / (a (a - 1))        a = 1: KL(p || q)        a = 0: KL(q || p)
    l_i         = max over a in {alpha_low, alpha_high} of D_a(p_i || q_i)
    p_i         = softmax(teacher_logits_i / T)        q_i = softmax(logits_i / T)        T = temperature

A negative alpha punishes a student that is surer than the teacher, a positive one a student that is less sure. Where a
is neither 0 nor 1, (p / q)^a is clipped at ``clip``, in the value and in the gradient
- sum_c q_c min((p_c / q_c)^a, clip) / a  d log q_c.

logits    [*, C] unnormalised scores
teacher_logits  [*, C] scores of the teacher, without gradient
alpha_low, alpha_high   the two orders, any numbers; equal ones are one divergence: both 1 is the KL of distillation
clip      > 0
temperature  > 0: divides both scores
Returns   [*] divergence
Numerics  ratios as exponentials of differences of log-softmaxes, which only overflow before they are clipped
Paper     Wang et al. 2021, arXiv:2102.07954, and the authors' code; alphas -1 and 1, clip 5
Differs   the code returns the expression whose gradient is wanted; here the value is the divergence. Not clipped it is
          without bound for alphas that are neither 0 nor 1
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad


def alpha_divergence_distillation(
    logits: Float[Tensor, "*b C"],
    teacher_logits: Float[Tensor, "*b C"],
    *,
    alpha_low: float = -1.0,
    alpha_high: float = 1.0,
    clip: Annotated[float, Gt(0)] = 5.0,
    temperature: Annotated[float, Gt(0)] = 1.0,
) -> Float[Tensor, "*b"]:
    teacher = stopgrad(teacher_logits / temperature).log_softmax(-1)
    student = (logits / temperature).log_softmax(-1)
    low, of_low = _divergence(teacher, student, alpha_low, clip)
    high, of_high = _divergence(teacher, student, alpha_high, clip)
    lower = low > high
    value, surrogate = torch.where(lower, low, high), torch.where(lower, of_low, of_high)
    return value + surrogate - stopgrad(surrogate)


def _divergence(log_p: Tensor, log_q: Tensor, alpha: float, clip: float) -> tuple[Tensor, Tensor]:
    """(the divergence, without gradient; the expression whose gradient is the divergence's)."""
    fixed = stopgrad(log_q)
    q = fixed.exp()
    a = torch.zeros_like(fixed) + alpha
    forward, reverse = a == 1, a == 0
    a = torch.where(forward | reverse, 2.0, a)
    ratio = torch.minimum((a * (log_p - fixed)).exp(), torch.zeros_like(fixed) + clip)
    value = ((q * ratio).sum(-1) - 1) / (a * (a - 1))[..., 0]
    value = torch.where(forward[..., 0], kl_divergence(log_p, fixed), value)
    value = torch.where(reverse[..., 0], kl_divergence(fixed, log_p), value)
    weights = torch.where(forward, log_p.exp(), torch.where(reverse, q * (log_p - fixed), q * ratio / a))
    return value, -(weights * log_q).sum(-1)
