"""Sparsemax: the convex loss of the Euclidean projection of the scores onto the probability simplex.

    p = max(z - tau, 0), tau such that p sums to 1        q = labels_i / sum_c labels_i[c]
    l_i = -<q, z> + 1/2 sum_{c: p_c > 0} (z_c^2 - tau^2) + 1/2 |q|^2

z = logits_i. The gradient is p - q; the loss is 0 exactly where p = q. With a single label y, it is 0 where z_y exceeds
every other score by 1.

logits    [*, C] unnormalised scores            labels    [*, C] indicators in [0, 1]: one or several labels
Returns   [*] loss per example; 0 for an example without a label. Probabilities are p (task.link=sparsemax), not softmax
Numerics  as 1/2 |p - q|^2 + sum_c q_c max(tau - z_c, 0), which is the same and has no term that cancels; scores are
          shifted by their largest, which changes nothing
Paper     Martins and Astudillo 2016, arXiv:1602.02068
Differs   nothing
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import simplex_threshold


def sparsemax(logits: Float[Tensor, "*b C"], labels: Float[Tensor, "*b C"]) -> Float[Tensor, "*b"]:
    number = labels.sum(-1, keepdim=True)
    q = labels / torch.where(number > 0, number, 1)
    z = logits - logits.amax(-1, keepdim=True)
    below = simplex_threshold(z) - z
    p = (-below).clamp(min=0)
    loss = (p - q).square().sum(-1) / 2 + (q * below.clamp(min=0)).sum(-1)
    return torch.where(number.squeeze(-1) > 0, loss, 0)
