"""Covariate shift: regression whose test inputs are moved to where the noise is larger, with unlabelled inputs of both.

    x ~ N(0, I)        tested: x ~ N(shift u, I)        u = (1, ..., 1) / sqrt(features)
    y = w . x + exp(growth u . x) e        w ~ N(0, I / features), e ~ N(0, 1)

What y is given x is the same everywhere; the ratio of the densities is exp(shift u . x - shift^2 / 2). Intervals of one
width that hold 90 % of the training examples hold fewer of the tested ones.

Task      regression: 1 target
Source    made here, after the setting of conformal prediction under covariate shift: Tibshirani et al. 2019,
          arXiv:1904.06019; Joshi et al. 2025, arXiv:2502.13030
Licence   made here
Inputs    [features]; beside each, an unlabelled input of the training distribution and one of the tested distribution
Splits    num_examples of training, half as many for validation, both of the training distribution; twice as many of the
          tested distribution for the test
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split, mean_and_std


def covariate_shift(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(4)] = 2000,
    features: Annotated[int, Ge(1)] = 50,
    shift: Annotated[float, Ge(0)] = 1.0,
    growth: Annotated[float, Ge(0)] = 0.5,
) -> Dataset:
    """generator draws everything, the weights of the regression too.

    num_examples    of the training split
    shift           distance between the means of the two distributions
    growth          of the logarithm of the noise, along the shift; 0 is the same noise everywhere
    """
    direction = torch.full((features,), features**-0.5)
    weights = torch.randn(features, generator=generator) * features**-0.5

    def inputs(n: int, distance: float) -> Tensor:
        return torch.randn((n, features), generator=generator) + distance * direction

    def split(n: int, distance: float) -> Split:
        x = inputs(n, distance)
        noise = (growth * (x @ direction)).exp() * torch.randn(n, generator=generator)
        targets = (x @ weights + noise).unsqueeze(1)
        others = {"unlabeled_inputs": inputs(n, 0.0), "shifted_inputs": inputs(n, shift)}
        return Split(x, {"regression_targets": targets, **others})

    train, validation, test = (
        split(n, distance)
        for n, distance in ((num_examples, 0.0), (max(num_examples // 2, 1), 0.0), (2 * num_examples, shift))
    )
    target_mean, target_scale = mean_and_std(train.labels["regression_targets"])
    for part in (train, validation, test):
        part.labels["regression_targets"] = (part.labels["regression_targets"] - target_mean) / target_scale
    mean, std = mean_and_std(train.inputs)
    return Dataset(train, validation, test, num_outputs=1, mean=mean, std=std, target_scale=target_scale)
