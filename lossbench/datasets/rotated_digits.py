"""Rotated digits: the digits of scikit-learn in domains that differ in an angle; one domain is never trained on.

Source    Alpaydin and Kaynak 1998, as in the data set digits; rotated as MNIST is in Ghifary et al. 2015,
          arXiv:1508.07680, section 4.1
Licence   CC BY 4.0 (UCI)
Inputs    [1, 8, 8], 0..16, turned counter-clockwise about the middle (bilinear, 0 outside)
Labels    targets, and groups: the domain of each example, 0..G-1 in the order of the angles that are trained on
Splits    every image is in one domain, drawn at random, in equal shares of each class. Of each domain 60 % train, 20 %
          validation, 20 % test, stratified by class; extra["held_out_domain"] has the held-out domain, all of it,
          without groups
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Len
from torch import Generator, Tensor

from lossbench.datasets.bundled import bundled
from lossbench.datasets.dataset import Dataset, Split, split_indices
from lossbench.datasets.rotation import rotated
from lossbench.errors import UsageError


def rotated_digits(
    *,
    generator: Generator,
    angles: Annotated[Sequence[float], Len(2)] = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0),
    held_out: Annotated[int, Ge(0)] = 5,
) -> Dataset:
    """generator draws domains and splits.

    angles     of the domains, in degrees
    held_out   place in angles, from 0, of the domain that is never trained on
    """
    if held_out >= len(angles):
        raise UsageError(
            f"dataset.held_out={held_out} must be a place in dataset.angles, which are {len(angles)}: "
            f"0..{len(angles) - 1}."
        )
    table = torch.from_numpy(bundled("digits.csv.gz"))
    images, targets = table[:, :-1].float().reshape(-1, 1, 8, 8), table[:, -1].long()
    domains = split_indices(len(images), [1 / len(angles)] * (len(angles) - 1), generator, targets)
    turned = [rotated(images[indices], angle) for indices, angle in zip(domains, angles, strict=True)]
    outside = Split(turned[held_out], {"targets": targets[domains[held_out]]})

    parts: list[list[Split]] = [[], [], []]
    for group, place in enumerate(place for place in range(len(angles)) if place != held_out):
        own = targets[domains[place]]
        whole = Split(turned[place], {"targets": own, "groups": torch.full_like(own, group)})
        for part, indices in zip(parts, split_indices(len(own), (0.2, 0.2), generator, own), strict=True):
            part.append(whole.select(indices))
    test, validation, train = (_joined(part) for part in parts)
    assert isinstance(train.inputs, Tensor)
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        num_outputs=10,
        mean=train.inputs.mean(),
        std=train.inputs.std(),
        class_names=[str(d) for d in range(10)],
        extra={"held_out_domain": outside},
        value_range=(0.0, 16.0),
    )


def _joined(splits: Sequence[Split]) -> Split:
    inputs = torch.cat([split.inputs for split in splits if isinstance(split.inputs, Tensor)])
    return Split(inputs, {name: torch.cat([s.labels[name] for s in splits]) for name in ("targets", "groups")})
