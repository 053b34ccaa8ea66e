"""CutMix: a box of each image is replaced by the same box of another image of the batch, and its share of the loss too.

    width r W, height r H, r = sqrt(b), b ~ Beta(alpha, alpha), the middle anywhere in the image, cut off at the border
    loss = (1 - w) loss(x, y_i) + w loss(x, y_j)        w = pixels in the box / pixels of the image

alpha         > 0: 1 gives every area the same probability
probability   in [0, 1]: part of the examples that are mixed at all
Adds          partner {label: [B, ...]}, the labels of j, and partner_weight [B], w
Paper         Yun et al. 2019, arXiv:1905.04899, section 3.1; probability 0.5 for their CIFAR runs, 1 for ImageNet
Differs       every example draws its own box; the authors' code draws one for the whole batch
"""

from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Generator

from lossbench.augmentations.augmentation import Batch, beta, boxes, images, mixed, shuffled


def cutmix(
    batch: Batch,
    generator: Generator,
    *,
    alpha: Annotated[float, Gt(0)] = 1.0,
    probability: Annotated[float, Interval(ge=0, le=1)] = 1.0,
) -> Batch:
    x = images(batch, "cutmix")
    n, _, height, width = x.shape
    partner = shuffled(x, generator)
    chosen = torch.rand(n, generator=generator, device=x.device) < probability
    ratio = beta(alpha, n, generator, x.device).sqrt() * chosen
    middle_row = torch.randint(0, height, (n,), generator=generator, device=x.device)
    middle_column = torch.randint(0, width, (n,), generator=generator, device=x.device)
    rows = boxes(middle_row, (ratio * height).long(), height)
    columns = boxes(middle_column, (ratio * width).long(), width)
    weight = rows.sum(1) * columns.sum(1) / (height * width)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return mixed(batch, torch.where(inside, x[partner], x), partner, weight, "cutmix")
