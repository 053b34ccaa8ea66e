"""Two sources: points of two Gaussians whose labels follow opposite rules; one source is to be unlearned.

    x ~ N(mu_s, I)        mu_0 = -shift (1, ..., 1), mu_1 = shift (1, ..., 1)
    P(y = s | x) = sigmoid(1 + (x - mu_s) . (1, ..., 1) / sqrt(dimensions))        s = 0 or 1

Task      classification: 2 classes; groups [n] is s. To unlearn the second source: variant=[forget_set]
          variant.forget_set.groups=[1] variant.forget_set.fraction=1
Source    the synthetic experiment of Zhang et al. 2024, arXiv:2404.05868, as the authors' code has it
Licence   made here
Inputs    [dimensions], not standardised
Splits    drawn independently; half as many of each source as of the first in training for validation, as many for the
          test. The test split has as many of both sources
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split


def two_sources(
    *,
    generator: Generator,
    num_first: Annotated[int, Ge(2)] = 1000,
    num_second: Annotated[int, Ge(1)] = 200,
    dimensions: Annotated[int, Ge(1)] = 16,
    shift: float = 1.0,
) -> Dataset:
    """generator draws the points and their labels.

    num_first, num_second   training examples of each source
    shift                   of the means, in every dimension: 0 has both sources at one place, where they contradict
                            each other
    """

    def draw(first: int, second: int) -> Split:
        source = (torch.arange(first + second) >= first).long()
        noise = torch.randn((first + second, dimensions), generator=generator)
        own = (1 + noise.sum(1) / dimensions**0.5).sigmoid()
        follows = torch.rand(first + second, generator=generator) < own
        inputs = noise + shift * (2 * source - 1).unsqueeze(1)
        return Split(inputs, {"targets": torch.where(follows, source, 1 - source), "groups": source})

    held_out = max(1, num_first // 2)
    train, validation, test = draw(num_first, num_second), draw(held_out, held_out), draw(num_first, num_first)
    return Dataset(train, validation, test, num_outputs=2)
