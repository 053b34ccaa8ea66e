"""Functions of the target's probability p for fine-tuning, from -log p to 1 - p and beyond, of all tokens or a part.

    l = m f(p)        f(p) = (1 - p^alpha) / alpha, at alpha = 0 its limit -log p        p = softmax(logits)[y]

    keep      m, without gradient
    all       1
    above     [p >= threshold]
    below     [p <= threshold]

    The gradient in the logits is p^alpha times that of -log p: a large alpha leaves alone what is unlikely.

logits     [*, C] unnormalised scores               targets   [*] class indices y
alpha      >= 0; 0 is cross_entropy, 1 is 1 - p, 10 the paper's -p^10 up to a constant and a factor
keep       which tokens count, by their own probability
threshold  in [0, 1]
Returns    [*] loss per token, >= 0
Numerics   -expm1(alpha log p) / alpha from log-softmax
Paper      Li et al. 2025, arXiv:2510.00526. With alpha in (0, 1] also Zhang and Sabuncu 2018, arXiv:1805.07836
Differs    dropped tokens still count in the mean, where the authors' code divides by those that are kept
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import stopgrad, true_class_log_p


def probability_family(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    *,
    alpha: Annotated[float, Ge(0)] = 1.0,
    keep: Literal["all", "above", "below"] = "all",
    threshold: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Float[Tensor, "*b"]:
    log_p = true_class_log_p(logits, targets)
    power = torch.as_tensor(alpha, dtype=log_p.dtype, device=log_p.device)
    zero = power == 0
    values = torch.where(zero, -log_p, -(power * log_p).expm1() / torch.where(zero, 1.0, power))
    if keep == "all":
        return values
    p = stopgrad(log_p).exp()
    return torch.where(p >= threshold if keep == "above" else p <= threshold, values, 0.0)
