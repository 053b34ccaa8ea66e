"""Intersectional bias: two protected attributes that are fair one by one, and unfair together, from a structural model.

    a, b ~ Bernoulli(1/2)                                          protected attributes, independent
    y ~ Bernoulli(1/2 + bias / 2) where a != b, Bernoulli(1/2 - bias / 2) where a = b
    merits  = class_distance / 2 (2 y - 1) (1, 1) + e              e ~ N(0, I)
    proxies = proxy_distance / 2 (2 a - 1, 2 a - 1, 2 b - 1, 2 b - 1) + e
    x       = (merits, proxies, noise)                             noise ~ N(0, I), of 2 numbers

y is independent of a and of b, and depends on a xor b: half of the positives of every attribute, but (1 + bias) / 2 of
two of the four subgroups and (1 - bias) / 2 of the others ("fairness gerrymandering").

Task      classification: 2 classes, 4 groups 2 a + b; attributes [n, 2] is (a, b)
Source    lossbench's own, after the definition of Kearns et al. 2018, arXiv:1711.05144
Licence   made here
Inputs    [8]
Splits    60/20/20 %, independent draws
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split, mean_and_std

NOISE_FEATURES = 2


def intersectional_bias(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(50)] = 5000,
    bias: Annotated[float, Interval(ge=0, lt=1)] = 0.6,
    class_distance: Annotated[float, Ge(0)] = 1.5,
    proxy_distance: Annotated[float, Ge(0)] = 3.0,
) -> Dataset:
    """generator draws the examples.

    num_examples     of train, validation and test together
    bias             difference between the subgroups in how often the class is positive; 0 is fair
    class_distance   between the means of the classes, for each of two merits, in standard deviations
    proxy_distance   between the means of the values of an attribute, for each of its two proxies
    """
    held_out = num_examples // 5

    def draw(n: int) -> Split:
        a, b = (torch.rand((2, n), generator=generator) < 0.5).long()
        prevalence = 0.5 + bias / 2 * (2 * (a ^ b) - 1)
        y = (torch.rand(n, generator=generator) < prevalence).long()
        means = torch.zeros(n, 6 + NOISE_FEATURES)
        means[:, :2] = class_distance / 2 * (2 * y - 1)[:, None]
        means[:, 2:4] = proxy_distance / 2 * (2 * a - 1)[:, None]
        means[:, 4:6] = proxy_distance / 2 * (2 * b - 1)[:, None]
        inputs = means + torch.randn(means.shape, generator=generator)
        return Split(inputs, {"targets": y, "groups": 2 * a + b, "attributes": torch.stack([a, b], 1).float()})

    train, validation, test = draw(num_examples - 2 * held_out), draw(held_out), draw(held_out)
    mean, std = mean_and_std(train.inputs)
    return Dataset(train, validation, test, num_outputs=2, mean=mean, std=std, class_names=["negative", "positive"])
