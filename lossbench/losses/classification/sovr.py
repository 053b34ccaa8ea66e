"""SOVR: cross-entropy, but one-versus-the-rest for the part of the batch with the smallest margins.

    l_i = weight (softplus(-z_i[y_i]) + sum_{c != y_i} softplus(z_i[c]))    for the floor(fraction B) smallest margins
    l_i = -log softmax(z_i)[y_i]                                            for the others

where the margin of example i is z_i[y_i] - max_{c != y_i} z_i[c].

logits    [B, C] unnormalised scores z; of attacked inputs where it is adversarial training (task.train_on)
targets   [B] class indices y
fraction  in [0, 1], M / 100 in the paper; 0 is cross_entropy
weight    >= 0, lambda in the paper
Returns   [B] loss per example; which examples are switched depends on the batch. Of equal margins the first comes first
Paper     Kanai et al. 2022, arXiv:2207.10283
Differs   nothing known; how M B / 100 is rounded is not said. The defaults are of the size that they tune for CIFAR-10;
          the text could not be consulted for the exact numbers
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from lossbench.ops import margin, one_hot, stopgrad, true_class_log_p


def sovr(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    *,
    fraction: Annotated[float, Interval(ge=0, le=1)] = 0.4,
    weight: Annotated[float, Ge(0)] = 0.4,
) -> Float[Tensor, "B"]:
    true = one_hot(targets, logits.shape[-1], torch.bool)
    one_versus_rest = softplus(torch.where(true, -logits, logits)).sum(-1)
    place = stopgrad(margin(logits, targets)).argsort(stable=True).argsort()
    number = torch.as_tensor(fraction * len(logits) + 1e-6).floor()  # 0.29 * 100 is 28.99...
    return torch.where(place < number, weight * one_versus_rest, -true_class_log_p(logits, targets))
