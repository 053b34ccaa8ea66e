"""Supernet distillation: labels teach the whole model, its answers teach its sub-networks, by an alpha-divergence.

    cross_entropy   - sum_c t_ic log softmax(logits_i)_c        t: one-hot, smoothed: 1 - label_smoothing of it
    distillation    sum_s alpha_divergence_distillation of subnet_logits_is with the teacher logits_i

logits    [B, C] unnormalised scores of the whole model        targets   [B] class indices
subnet_logits  [B, S, C] scores of S sub-networks, which share its weights
alpha_low, alpha_high   orders of the divergence; both 1: KL, as in supernets before
clip      > 0, of the ratios
label_smoothing   in [0, 1)
Returns   {"cross_entropy": [B], "distillation": [B]}; the whole model has no gradient as a teacher
Numerics  as in alpha_divergence_distillation
Paper     Wang et al. 2021, AlphaNet, arXiv:2102.07954, and the authors' code: orders -1 and 1, clip 5, label smoothing
          0.1; the sandwich rule: Yu and Huang 2019, arXiv:1903.05134
Differs   the code also clips each gradient value at 1; here clip_norm of the run may be set
"""

from typing import Annotated

from annotated_types import Gt, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.distillation.alpha_divergence_distillation import alpha_divergence_distillation
from lossbench.ops import true_class_log_p


def supernet_distillation(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    subnet_logits: Float[Tensor, "B S C"],
    *,
    alpha_low: float = -1.0,
    alpha_high: float = 1.0,
    clip: Annotated[float, Gt(0)] = 5.0,
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
) -> dict[str, Float[Tensor, "B"]]:
    smooth = -logits.log_softmax(-1).mean(-1)
    divergence = alpha_divergence_distillation(
        subnet_logits, logits.unsqueeze(-2), alpha_low=alpha_low, alpha_high=alpha_high, clip=clip
    )
    return {
        "cross_entropy": -(1 - label_smoothing) * true_class_log_p(logits, targets) + label_smoothing * smooth,
        "distillation": divergence.sum(-1),
    }
