"""Multi-label softmax: cross-entropy between the share of each label and the softmax of the scores.

    l_i = -sum_c q_c log softmax(logits_i)[c]        q = labels_i / sum_c labels_i[c]

logits    [*, C] unnormalised scores            labels    [*, C] indicators in [0, 1]
Returns   [*] loss per example; 0 for an example without a label. Probabilities are the softmax (task.link=softmax)
Numerics  log-softmax
Paper     none: the baseline of Martins and Astudillo 2016, arXiv:1602.02068, and of earlier work
Differs   nothing; with several labels its least value is the entropy of q, not 0
"""

import torch
from jaxtyping import Float
from torch import Tensor


def multilabel_softmax(logits: Float[Tensor, "*b C"], labels: Float[Tensor, "*b C"]) -> Float[Tensor, "*b"]:
    number = labels.sum(-1, keepdim=True)
    q = labels / torch.where(number > 0, number, 1)
    return -(q * logits.log_softmax(-1)).sum(-1)
