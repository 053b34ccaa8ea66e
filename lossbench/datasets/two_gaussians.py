"""Two Gaussians: classes with means mu and -mu and one covariance, whose best boundary is a known hyperplane.

    x | y ~ N(y mu, covariance / separability)        mu = (1, ..., 1) / sqrt(dimensions)        y = +1 or -1

The covariance is diagonal, with a geometric sequence of variances from 1 down to 1 / condition. The best direction is
covariance^-1 mu for every separability. The test split is drawn with one of its own: the smaller it is, the better the
test accuracy tells a direction from the best one, also where the training data are easily separated. For a hyperplane
through the origin its expectation is Phi(c sqrt(test_separability) s) with s^2 = mu' covariance^-1 mu and c the cosine
of its normal and the best one in the metric of the covariance.

Task      classification: 2 classes
Source    the family of distributions of Oh and Yun 2023, arXiv:2306.00267
Licence   made here
Inputs    [dimensions]
Splits    drawn independently; num_examples of training, half as many for validation, 20,000 for the test
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split

TEST_EXAMPLES = 20_000


def two_gaussians(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(4)] = 500,
    dimensions: Annotated[int, Ge(1)] = 20,
    separability: Annotated[float, Gt(0)] = 4.0,
    test_separability: Annotated[float, Gt(0)] | None = None,
    condition: Annotated[float, Ge(1)] = 10.0,
) -> Dataset:
    """generator draws the points.

    separability       of the training and the validation split; the standard deviations fall with its square root
    test_separability  null: that of training
    condition          largest over smallest variance
    """
    deviations = torch.logspace(0, -0.5, dimensions, base=condition) if condition > 1 else torch.ones(dimensions)

    def split(n: int, separability: float) -> Split:
        targets = torch.arange(n) % 2
        mean = (2.0 * targets - 1).unsqueeze(1) / dimensions**0.5
        noise = torch.randn((n, dimensions), generator=generator)
        return Split(mean + noise * deviations / separability**0.5, {"targets": targets})

    train, validation = split(num_examples, separability), split(max(num_examples // 2, 2), separability)
    test = split(TEST_EXAMPLES, test_separability or separability)
    # One number for all dimensions: the covariance keeps its shape.
    assert isinstance(train.inputs, torch.Tensor)
    mean, std = train.inputs.mean(), train.inputs.std()
    return Dataset(train, validation, test, num_outputs=2, mean=mean, std=std)
