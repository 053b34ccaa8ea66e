"""Two moons: two interleaved half circles in the plane, or the same ones pulled apart so that a line separates them.

    class 0   (cos t, sin t) + e           class 1   (1 - cos t, 1/2 - sin t) + e        t ~ U(0, pi), e ~ N(0, noise^2)

With a margin the moons are moved and mirrored until the second coordinate alone separates the classes, with a gap of
twice the margin (they overlap where it is negative), while they keep their curved shape. A model that finds the gap
first has no reason to learn the curve; on a test split with a smaller margin it fails.

Task      classification: 2 classes
Source    scikit-learn's make_moons, with t drawn at random; the margin as in the code of Pezeshki et al. 2020,
          arXiv:2011.09468, figure 1, who take margins of -0.1 and 0.1 with noise 0.1
Licence   made here
Inputs    [2]
Splits    drawn independently; num_examples of training, half as many for validation, and as many again for the test
"""

import math
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split, mean_and_std

SHIFT = (0.5, 0.3)  # of the moons towards the middle, before they are mirrored, as in the paper's code


def two_moons(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(4)] = 500,
    noise: Annotated[float, Ge(0)] = 0.1,
    margin: float | None = None,
    test_margin: float | None = None,
) -> Dataset:
    """generator draws the points.

    num_examples    of the training split
    margin          of the training and the validation split; null: the moons as they are
    test_margin     of the test split
    """
    train = _moons(num_examples, noise, margin, generator)
    validation = _moons(max(num_examples // 2, 2), noise, margin, generator)
    test = _moons(num_examples, noise, test_margin, generator)
    mean, std = mean_and_std(train.inputs)
    return Dataset(train, validation, test, num_outputs=2, mean=mean, std=std)


def _moons(n: int, noise: float, margin: float | None, generator: Generator) -> Split:
    targets = torch.arange(n) % 2
    sign = 2.0 * targets - 1
    angle = math.pi * torch.rand(n, generator=generator)
    points = torch.stack([angle.cos(), angle.sin()], 1)
    points = torch.where(targets[:, None] == 1, torch.tensor([1.0, 0.5]) - points, points)
    points = points + noise * torch.randn((n, 2), generator=generator)
    if margin is not None:
        points = _pulled_apart(points, sign, margin)
    return Split(points, {"targets": targets})


def _pulled_apart(points: Tensor, sign: Tensor, margin: float) -> Tensor:
    """Class 1 below -margin and class 0 above it in the second coordinate."""
    first, second = points[:, 0] - SHIFT[0], points[:, 1] - SHIFT[1] * sign
    second = second - second.mean()
    return torch.stack([first, -sign * (second.abs() + margin)], 1)
