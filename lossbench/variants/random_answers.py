"""Random answers: in a part of the training sequences, all tokens that count are replaced by random ones.

rate      in [0, 1]: exactly round(rate n) of the n training sequences
Tokens    as often as they are training targets; the inputs that follow from them are replaced too
Source    made here: the noise of unrelated target sentences in machine translation
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError


def random_answers(
    dataset: Dataset, generator: Generator, *, rate: Annotated[float, Interval(ge=0, le=1)] = 0.3
) -> Dataset:
    inputs, targets, mask = (dataset.train.inputs, *(dataset.train.labels.get(name) for name in ("targets", "mask")))
    if not isinstance(inputs, Tensor) or targets is None or mask is None or mask.shape != inputs.shape:
        raise UsageError(
            "variant=random_answers needs sequences of which only a part counts. Choose dataset=copying, reversal or "
            "addition, or another variant."
        )
    rows = torch.zeros(len(inputs), dtype=torch.bool)
    rows[torch.randperm(len(inputs), generator=generator)[: round(rate * len(inputs))]] = True
    places = rows.unsqueeze(1) & mask
    known = targets[mask]
    drawn = known[torch.randint(len(known), (int(places.sum()),), generator=generator)]
    new_targets, new_inputs = targets.clone(), inputs.clone()
    new_targets[places] = drawn
    new_inputs[:, 1:] = torch.where(places[:, :-1], new_targets[:, :-1], inputs[:, 1:])
    labels = {**dataset.train.labels, "targets": new_targets}
    return replace(dataset, train=Split(new_inputs, labels))
