"""Two groups: rows whose protected attribute decides how often the class is positive, from a structural model.

    s ~ Bernoulli(minority)                                protected attribute, the group
    y ~ Bernoulli(prevalence of group s)                   class
    merits  = class_distance / 2 (2 y - 1) u_s + e         u_0 = (1, 0), u_1 = (cos angle, sin angle), e ~ N(0, I)
    proxies = proxy_distance / 2 (2 s - 1) (1, 1) + e
    x       = (merits, proxies, noise)                     noise ~ N(0, I), of 4 numbers

s -> y -> merits and s -> proxies are the only arrows. x does not have s, but its proxies give it away, so that the best
classifier of y treats the groups differently where their prevalences differ. With an angle, merit shows in another way
in each group, and a model with one direction for both must choose.

Task      classification: 2 classes, 2 groups; attributes [n, 1] is s; counterfactual_inputs [n, 8] is x with the
          proxies of the other s, and everything else, y and all noise, as it is
Source    lossbench's own
Licence   made here
Inputs    [8]
Splits    60/20/20 %, independent draws
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Interval, Len
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split, mean_and_std

NOISE_FEATURES = 4


def two_groups(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(50)] = 5000,
    minority: Annotated[float, Interval(gt=0, lt=1)] = 0.3,
    prevalences: Annotated[Sequence[Annotated[float, Interval(gt=0, lt=1)]], Len(2, 2)] = (0.5, 0.2),
    class_distance: Annotated[float, Ge(0)] = 2.0,
    proxy_distance: Annotated[float, Ge(0)] = 2.0,
    angle: float = 0.0,
) -> Dataset:
    """generator draws the examples.

    num_examples     of train, validation and test together
    minority         part of the examples in group 1
    prevalences      part of the positives in group 0 and in group 1
    class_distance   between the means of the classes, in standard deviations
    proxy_distance   between the means of the groups, for each of two proxies
    angle            between the directions in which merit shows in the two groups, in degrees
    """
    held_out = num_examples // 5
    directions = torch.tensor([[1.0, 0.0], [math.cos(math.radians(angle)), math.sin(math.radians(angle))]])

    def draw(n: int) -> Split:
        s = (torch.rand(n, generator=generator) < minority).long()
        y = (torch.rand(n, generator=generator) < torch.tensor(prevalences)[s]).long()
        means = torch.zeros(n, 4 + NOISE_FEATURES)
        means[:, :2] = class_distance / 2 * (2 * y - 1)[:, None] * directions[s]
        means[:, 2:4] = proxy_distance / 2 * (2 * s - 1)[:, None]
        inputs = means + torch.randn(means.shape, generator=generator)
        other = inputs.clone()
        other[:, 2:4] -= proxy_distance * (2 * s - 1)[:, None]
        attributes = s[:, None].float()
        return Split(inputs, {"targets": y, "groups": s, "attributes": attributes, "counterfactual_inputs": other})

    train, validation, test = draw(num_examples - 2 * held_out), draw(held_out), draw(held_out)
    mean, std = mean_and_std(train.inputs)
    return Dataset(train, validation, test, num_outputs=2, mean=mean, std=std, class_names=["negative", "positive"])
