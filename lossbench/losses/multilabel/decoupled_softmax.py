"""Decoupled softmax: every positive label against the negatives alone, not against the other positives.

    l_i = 1 / |P_i| sum_{p in P_i} -log( exp(s_p) / (exp(s_p) + sum_{n not in P_i} exp(s_n)) )        s = logits_i

positives_compete   the denominator holds all labels: the multi-positive softmax, in which positives push one another
                    down and no score makes the loss of two of them 0

logits    [*, C] unnormalised scores            labels    [*, C] indicators; a positive is above 1/2
positives_compete   false: decoupled; true: the multi-positive softmax
Returns   [*] loss per example: the mean over its positives; 0 for an example without positives, which says nothing, and
          where decoupled for one without negatives
Numerics  softplus of (log-sum-exp of the negatives) - s_p
Paper     Gupta et al. 2023, arXiv:2310.10636
Differs   the authors' code gives the other positives a score of -100 in the denominator, which is the same unless all
          scores lie below about -70; its multi-positive softmax sums over the positives, ours is their mean
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def decoupled_softmax(
    logits: Float[Tensor, "*b C"],
    labels: Float[Tensor, "*b C"],
    *,
    positives_compete: bool = False,
) -> Float[Tensor, "*b"]:
    positive = labels > 0.5
    if positives_compete:
        losses = -logits.log_softmax(-1)
    else:
        # Without any negative the log-sum-exp is -inf, whose gradient is 0 times NaN: such a row gets harmless scores.
        alone = positive.all(-1, keepdim=True)
        rivals = torch.where(positive & ~alone, -torch.inf, logits).logsumexp(-1, keepdim=True)
        losses = torch.where(alone, 0, F.softplus(rivals - logits))
    return torch.where(positive, losses, 0).sum(-1) / positive.sum(-1).clamp(min=1)
