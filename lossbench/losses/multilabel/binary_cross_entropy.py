"""Binary cross-entropy: the negative log-likelihood of each label, averaged over the labels.

    l_i = 1 / C sum_c ( w[c] y_i[c] (-log p_i[c]) + (1 - y_i[c]) (-log(1 - p_i[c])) )        p_i = sigmoid(logits_i)

logits    [*, C] unnormalised scores            labels    [*, C] indicators y in [0, 1]
positive_weights  [C] weights w >= 0 of the positives, such as negatives / positives; null is 1 for every label
Returns   [*] loss per example: the mean over its labels, so that the number of labels does not scale the learning rate
Numerics  log-sigmoid of the score and of its negative; no probability is formed
Paper     none: the likelihood of independent labels
Differs   nothing
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def binary_cross_entropy(
    logits: Float[Tensor, "*b C"],
    labels: Float[Tensor, "*b C"],
    *,
    positive_weights: Float[Tensor, "C"] | None = None,
) -> Float[Tensor, "*b"]:
    positive = labels * F.logsigmoid(logits)
    if positive_weights is not None:
        positive = positive_weights * positive
    return -(positive + (1 - labels) * F.logsigmoid(-logits)).mean(-1)
