"""Label-distribution-aware margins (LDAM): cross-entropy in which rarer classes must win by larger margins.

    l_i = -log softmax(logits_i - scale m_y e_y)[y]        m_c = max_margin (n_c / min_j n_j)^(-1/4),  y = targets_i

logits    [*, C] scores of head=cosine_classifier        targets        [*] class indices y
class_counts   [C] training examples n of each class
max_margin     >= 0: margin of the rarest class, in units of the cosine; 0 is cross_entropy
scale     > 0: that of the head (head.scale); the paper's s
Returns   [*] loss per example
Numerics  log-softmax
Paper     Cao et al. 2019, arXiv:1906.07413; max_margin = 0.5 and scale = 30 are those of its code. Deferred reweighting
          (DRW) is reweighting=[class_balanced] with start = 0.8 and normalization=examples
Differs   the paper multiplies cosines by s in the loss; here the head does, so that evaluation sees the same logits;
          the loss multiplies the margin alone, which is the same
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot, true_class_log_p


def ldam(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    class_counts: Float[Tensor, "C"],
    *,
    max_margin: Annotated[float, Ge(0)] = 0.5,
    scale: Annotated[float, Gt(0)] = 30.0,
) -> Float[Tensor, "*b"]:
    margins = max_margin * (class_counts / class_counts.amin()) ** -0.25
    lowered = logits - scale * margins * one_hot(targets, logits.shape[-1], logits.dtype)
    return -true_class_log_p(lowered, targets)
