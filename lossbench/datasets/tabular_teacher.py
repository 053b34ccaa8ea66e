"""Tabular teacher: finitely many inputs, each with a distribution of its own over the classes, and samples from it.

    s ~ uniform over num_inputs        y | s ~ teacher(. | s) ~ Dirichlet(concentration)

Task      tabular_distillation
Source    the setting of Zhao and Zhu 2023, arXiv:2310.07838; the numbers are ours
Licence   made here
Inputs    [num_inputs], the indicator of the input: with model=linear and no hidden layer, a table of scores
Splits    num_examples of training; validation and test have every pair of an input and a class once, in some order, so
          that means of what depends on the input alone are exact expectations
Facts     teacher_logits [n, C] of every split: the logarithms of the teacher's probabilities
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split


def tabular_teacher(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(1)] = 1000,
    num_inputs: Annotated[int, Ge(1)] = 10,
    num_classes: Annotated[int, Ge(2)] = 10,
    concentration: Annotated[float, Gt(0)] = 1.0,
) -> Dataset:
    """generator draws the teacher, the inputs and the classes.

    concentration   of the Dirichlet distribution that each row of the teacher is from: 1 is uniform
    """
    shares = torch.full((num_inputs, num_classes), concentration, dtype=torch.float64)
    gammas = torch._standard_gamma(shares, generator=generator).clamp(min=1e-300)
    teacher = gammas / gammas.sum(-1, keepdim=True)
    inputs = torch.randint(num_inputs, (num_examples,), generator=generator)
    sampled = torch.multinomial(teacher[inputs], 1, generator=generator).squeeze(-1)

    def split(inputs: Tensor, targets: Tensor) -> Split:
        logits = teacher[inputs].log().float()
        return Split(torch.eye(num_inputs)[inputs], {"targets": targets, "teacher_logits": logits})

    pairs = torch.randperm(num_inputs * num_classes, generator=generator)
    train, whole = split(inputs, sampled), split(pairs // num_classes, pairs % num_classes)
    # One number for all inputs: what stands for an input stays one value there and another elsewhere.
    std, mean = torch.std_mean(torch.eye(num_inputs)[inputs])
    return Dataset(train, whole, whole, num_classes, mean=mean, std=std)
