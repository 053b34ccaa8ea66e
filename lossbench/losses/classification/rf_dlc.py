"""RF-DLC: several heads that minimise a long-tailed Bayesian risk and are kept apart.

    cross_entropy   mean_m -w_y log p_m[y]        p_m = softmax(f_m - scale m_y e_y),  f_m = member_logits[m]
    utility         mean_m utility_weight sum_{c more frequent than y} w_c log p_m[c]
    repulsion       -exp(-progress / decay) / 2 mean over all head weights of log(variance over the members)
    m_c = max_margin (n_c / min_j n_j)^(-1/4)        w_c = N / (C n_c)        y = targets

w is 1, and utility 0, while progress < start. N is the number of training examples, so that w has mean 1 over them. The
utility term charges for the probability of classes that are more frequent than the true one: a tail example taken for a
head one.

member_logits     [*, H, C] of head=members with kind=cosine        targets   [*] class indices y
class_counts      [C] training examples n of each class
model_parameters  of which head.weight [H, ...] is used             progress  [] part of the training budget spent
max_margin        >= 0, in units of the cosine
scale             > 0: that of the head (head.scale)
start             in [0, 1]: part of the training budget before the reweighting and the utility
utility_weight    >= 0: the paper's -u / alpha times C / N; 0 is no utility
decay             > 0: in which part of the training budget the repulsion falls to 1/e
Returns   {"cross_entropy": [*], "utility": [*], "repulsion": []}; utility is negative, and unbounded below with logits
          that are. A single member has no repulsion
Numerics  log-softmax; variances (over H, not H - 1) are kept above 1e-12, where members are the same
Paper     Li and Zhang 2023, arXiv:2303.06075, as its released code has it. max_margin = 0.5, scale = 30, start = 160 of
          200 epochs, decay = 40 of 200 epochs; utility_weight = 0.4 is its u = -1, alpha = 0.002 for CIFAR-10-LT
Differs   the authors' code divides the cross-entropy by the summed 1/n_c of the batch, here by their expectation;
          the utility, with the same 1/n_c, by B alone: the ratio is in utility_weight. Its members have residual stages
          of their own, not heads only
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot

SMALLEST_VARIANCE = 1e-12


def rf_dlc(
    member_logits: Float[Tensor, "*b H C"],
    targets: Int[Tensor, "*b"],
    class_counts: Float[Tensor, "C"],
    model_parameters: dict[str, Tensor],
    progress: Float[Tensor, ""],
    *,
    max_margin: Annotated[float, Ge(0)] = 0.5,
    scale: Annotated[float, Gt(0)] = 30.0,
    start: Annotated[float, Interval(ge=0, le=1)] = 0.8,
    utility_weight: Annotated[float, Ge(0)] = 0.4,
    decay: Annotated[float, Gt(0)] = 0.2,
) -> dict[str, Float[Tensor, "*b"] | Float[Tensor, ""]]:
    true_class = one_hot(targets, len(class_counts), member_logits.dtype)  # [*, C]
    margins = max_margin * (class_counts / class_counts.amin()) ** -0.25
    lowered = member_logits - (scale * margins * true_class).unsqueeze(-2)
    log_p = lowered.log_softmax(-1).mean(-2)  # both terms are linear in the members' log p

    late = torch.as_tensor(progress >= start)
    weights = torch.where(late, class_counts.mean() / class_counts, 1)
    more_frequent = class_counts > class_counts[targets].unsqueeze(-1)
    charged = torch.where(more_frequent & late, weights, 0)

    head = model_parameters["head.weight"]
    variance = head.var(0, unbiased=False).clamp(min=SMALLEST_VARIANCE)
    strength = torch.exp(-torch.as_tensor(progress, dtype=head.dtype) / decay) * (len(head) > 1)
    return {
        "cross_entropy": -(true_class * weights * log_p).sum(-1),
        "utility": utility_weight * (charged * log_p).sum(-1),
        "repulsion": -strength / 2 * variance.log().mean(),
    }
