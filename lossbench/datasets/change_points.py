"""Change points: a stream of multi-label examples whose labels come to depend on other inputs, twice.

    label c = 1 if x[(c + k) mod labels] + e_c > 1/2        x ~ N(0, I), e ~ N(0, noise^2 I)

k is 0 in the training and the validation split, 1 from the first change point on, where the test split begins, and 2
after two thirds of the test split: what a model has learned to read off one input, another one then tells.

Task      multilabel
Source    Farinhas et al. 2024, arXiv:2310.01262, simulation with change points, and the authors' code: 2,000 examples,
          10 inputs and labels, changes after 1/4 and 3/4. They fit the model anew at each step, on what has come; here
          it is fitted once, on examples of before
Licence   made here
Inputs    [labels]
Splits    num_examples of training; then the stream: half as many for validation, three times that for the test
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split, mean_and_std

BIAS = -0.5


def change_points(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(4)] = 1000,
    labels: Annotated[int, Ge(3)] = 10,
    noise: Annotated[float, Ge(0)] = 1.0,
    changes: bool = True,
) -> Dataset:
    """generator draws everything.

    num_examples    of the training split
    labels          number of labels and of inputs
    noise           deviation of the noise on the scores of the labels
    changes         false: the same distribution everywhere
    """

    def split(lags: list[int]) -> Split:
        lag = torch.tensor(lags) if changes else torch.zeros(len(lags), dtype=torch.long)
        x = torch.randn((len(lags), labels), generator=generator)
        read = (torch.arange(labels) + lag[:, None]) % labels
        scores = x.gather(1, read) + BIAS + noise * torch.randn((len(lags), labels), generator=generator)
        return Split(x, {"labels": (scores > 0).float()})

    half = num_examples // 2
    train, validation, test = split([0] * num_examples), split([0] * half), split([1] * (2 * half) + [2] * half)
    mean, std = mean_and_std(train.inputs)
    return Dataset(train, validation, test, num_outputs=labels, mean=mean, std=std)
