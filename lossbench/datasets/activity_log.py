"""Activity log: what users did last, and what they do next; a few of the next activities are an insider's.

Made here. A user has one of ``roles``; the next activity depends on the role and the last activity, by a Markov chain
of the role whose rows are drawn from a Dirichlet distribution (0.3: a few likely activities each). The role is not
given: it shows in the history. An abnormal event follows the chain of an insider instead, the same one for all.

Source    none; in the manner of the activity logs of Glasser and Lindauer 2013 (CERT), which cannot be given along
Inputs    [history * activities] the last activities one after another, each one-hot
Labels    targets: the next activity; anomalies: whether it is abnormal, in exactly round(rate n) examples of a split
Splits    a third of num_examples each to train and validation, the rest to test; examples are independent histories
"""

from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split, mean_and_std
from lossbench.ops import one_hot

CONCENTRATION = 0.3


def activity_log(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(300)] = 24000,
    activities: Annotated[int, Ge(3)] = 12,
    roles: Annotated[int, Ge(1)] = 4,
    history: Annotated[int, Ge(1)] = 8,
    rate: Annotated[float, Interval(gt=0, lt=1)] = 0.01,
) -> Dataset:
    """generator draws everything: chains, histories and abnormal events.

    activities   kinds of them, the classes
    roles        Markov chains of normal users
    history      last activities that are given
    rate         share of abnormal events in every split
    """
    draws = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    chains = torch.from_numpy(draws.dirichlet([CONCENTRATION] * activities, (roles + 1, activities)))

    def split(n: int) -> Split:
        role = torch.randint(roles, (n,), generator=generator)
        steps = [torch.randint(activities, (n,), generator=generator)]
        for _ in range(history - 1):
            steps.append(_next(chains[role, steps[-1]], generator))
        anomalies = torch.zeros(n, dtype=torch.bool)
        anomalies[torch.randperm(n, generator=generator)[: round(rate * n)]] = True
        targets = _next(chains[torch.where(anomalies, roles, role), steps[-1]], generator)
        inputs = one_hot(torch.stack(steps, 1), activities).flatten(1)
        return Split(inputs, {"targets": targets, "anomalies": anomalies})

    third = num_examples // 3
    train, validation, test = split(third), split(third), split(num_examples - 2 * third)
    mean, std = mean_and_std(train.inputs)
    names = [f"activity {a}" for a in range(activities)]
    return Dataset(train, validation, test, activities, mean=mean, std=std, class_names=names)


def _next(probabilities: Tensor, generator: Generator) -> Tensor:
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
