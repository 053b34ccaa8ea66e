"""Mixup: each input is mixed with that of another example of the batch, and so is its loss.

    x = (1 - w) x_i + w x_j        loss = (1 - w) loss(x, y_i) + w loss(x, y_j)        w ~ Beta(alpha, alpha)

alpha     > 0: near 0 almost nothing is mixed, 1 gives every weight the same probability
Adds      partner {label: [B, ...]}, the labels of j, and partner_weight [B], w
Paper     Zhang et al. 2018, arXiv:1710.09412, section 2; alpha is 1 for their CIFAR runs, 0.1 to 0.4 for ImageNet
Differs   every pair draws its own weight, as in the equation; the authors' code draws one for the whole batch
"""

from typing import Annotated

from annotated_types import Gt
from torch import Generator

from lossbench.augmentations.augmentation import Batch, beta, mixed, numbers, shuffled


def mixup(batch: Batch, generator: Generator, *, alpha: Annotated[float, Gt(0)] = 0.2) -> Batch:
    x = numbers(batch, "mixup")
    partner = shuffled(x, generator)
    weight = beta(alpha, len(x), generator, x.device)
    x = x.lerp(x[partner], weight.to(x.dtype).view(-1, *[1] * (x.ndim - 1)))
    return mixed(batch, x, partner, weight, "mixup")
