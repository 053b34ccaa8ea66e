"""Instance-dependent label noise: which training targets are wrong, and how, depends on the inputs.

For each example, with its class y:

    q ~ normal(rate, deviation), cut to [0, 1]        p = softmax over c != y of <x, w_yc>
    its target stays y with probability 1 - q and becomes c with probability q p_c

x is the standardised input, flattened; w_yc are standard normal directions, one for each pair of classes.

rate        in [0, 1]: mean of q, about the part of the targets that becomes wrong
deviation   > 0: of q
Adds        labels["clean_targets"], the true classes, to the training split; validation and test stay as they are
Paper       Xia et al. 2020, arXiv:2006.07836: how its experiments generate instance-dependent noise, in the form that
            others have taken from its code; deviation = 0.1 is theirs. Its part-dependent method is not this
Differs     the number of wrong targets is random. q is drawn anew until it lies in [0, 1] (a truncated normal), and the
            inputs are standardised as for the model, while the paper's are as they come
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.variant import training_targets


def instance_dependent_label_noise(
    dataset: Dataset,
    generator: Generator,
    *,
    rate: Annotated[float, Interval(ge=0, le=1)] = 0.2,
    deviation: Annotated[float, Gt(0)] = 0.1,
) -> Dataset:
    targets = training_targets(dataset, "instance_dependent_label_noise")
    inputs = dataset.train.inputs
    if not isinstance(inputs, Tensor):
        raise UsageError(
            "variant=instance_dependent_label_noise: the inputs of this data set are read one at a time. "
            "Choose one that is in memory, or variant=[asymmetric_label_noise]."
        )
    x = _standardised(inputs, dataset).flatten(1)
    q = _truncated_normal(len(targets), rate, deviation, generator)
    noisy = targets.clone()
    for y in range(dataset.num_outputs):
        directions = torch.randn(x.shape[1], dataset.num_outputs, generator=generator)
        of_class = (targets == y).nonzero().flatten()
        if not len(of_class):
            continue
        scores = x[of_class] @ directions
        scores[:, y] = -torch.inf
        p = q[of_class].unsqueeze(1) * scores.softmax(-1)
        p[:, y] = 1 - q[of_class]
        noisy[of_class] = torch.multinomial(p, 1, generator=generator).squeeze(1)
    labels = {"clean_targets": targets, **dataset.train.labels, "targets": noisy}
    return replace(dataset, train=Split(inputs, labels))


def _standardised(inputs: Tensor, dataset: Dataset) -> Tensor:
    x = inputs.float()
    x = x if dataset.mean is None else x - _per_input(dataset.mean, x)
    return x if dataset.std is None else x / _per_input(dataset.std, x)


def _per_input(values: Tensor, x: Tensor) -> Tensor:
    """[channels] of images as [channels, 1, 1]."""
    return values.reshape(-1, *[1] * (x.ndim - 2)) if values.ndim == 1 and x.ndim > 2 else values


def _truncated_normal(number: int, mean: float, deviation: float, generator: Generator) -> Tensor:
    """By the inverse of the distribution function, in double precision."""
    normal = torch.distributions.Normal(torch.tensor(mean, dtype=torch.float64), deviation)
    low, high = normal.cdf(torch.tensor(0.0)), normal.cdf(torch.tensor(1.0))
    uniform = low + (high - low) * torch.rand(number, generator=generator, dtype=torch.float64)
    return normal.icdf(uniform).clamp(0, 1).float()
