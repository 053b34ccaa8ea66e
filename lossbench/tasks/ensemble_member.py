"""Ensemble member: classification with one more model beside frozen ones; what is judged is all of them together.

The ensemble's prediction is the mean of the members' probabilities. Only the new member is trained, on its own logits.

Batch       as in classification
members     folders of finished runs, or {train: [overrides], seed_offset: n} of runs to be made first, one a member;
            they have the same data set. An ensemble is built one member after another: those of a member are given
            in the same way, so that [{train: ...}] within a {train: ...} is the member before
spread      standard deviation of ``spread_x`` in those of the training inputs, pixel by pixel, > 0
Metrics     as in classification, of the ensemble; and of the new member alone, member_accuracy, which selects
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Generator, Tensor, nn

from lossbench.datasets.dataset import Dataset, read
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification

SAMPLE = 1000  # of inputs that are not in memory, for the mean and the deviation of each pixel


class EnsembleMember(Classification):
    # Not the ensemble's accuracy: members that are trained make it high while the new one has learnt nothing yet.
    selection = ("member_accuracy", "higher")

    def __init__(
        self, dataset: Dataset, device: torch.device, *, members: list[nn.Module], spread: Annotated[float, Gt(0)] = 5.0
    ):
        super().__init__(dataset, device)
        self._members = [member.requires_grad_(False).eval().to(device) for member in members]
        self._spread = spread
        mean, std = _of_each_pixel(dataset)
        self._pixel_mean, self._pixel_std = mean.to(device), std.to(device)
        for number, member in enumerate(self._members):
            _check(member, number, dataset, device)

    def frozen_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([member(x) for member in self._members], -2)

    def spread_x(self, x: Tensor, generator: Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return self._pixel_mean + self._spread * self._pixel_std * noise

    def spread_logits(self, forward: Callable, spread_x: Tensor) -> Tensor:
        return forward(spread_x)

    def frozen_spread_logits(self, spread_x: Tensor) -> Tensor:
        return self.frozen_logits(spread_x)

    def ensemble_logits(self, logits: Tensor, frozen_logits: Tensor) -> Tensor:
        """log of the mean probability."""
        each = torch.cat([logits.unsqueeze(-2), frozen_logits.to(logits.dtype)], -2).float()
        return each.log_softmax(-1).logsumexp(-2) - math.log(each.shape[-2])

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, ensemble_logits: Tensor, logits: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        from lossbench.metrics.ranking import precise

        own = precise(logits.argmax(-1) == targets).mean()
        return {**super().metrics(ensemble_logits, targets), "member_accuracy": own}

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return super().test_metrics({name: {**s, "logits": s["ensemble_logits"]} for name, s in splits.items()})


def _of_each_pixel(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every pixel of the standardised training inputs."""
    inputs = dataset.train.inputs
    if not isinstance(inputs, Tensor):
        inputs = read(inputs, range(min(SAMPLE, len(inputs))))
    inputs = inputs.float()
    if dataset.mean is not None:
        inputs = inputs - dataset.mean
    std, mean = torch.std_mean(inputs if dataset.std is None else inputs / dataset.std, 0)
    return mean, std


def _check(member: nn.Module, number: int, dataset: Dataset, device: torch.device) -> None:
    try:
        with torch.no_grad():
            outputs = member(torch.zeros(1, *dataset.input_shape, device=device)).shape[-1]
    except RuntimeError:
        outputs = None
    if outputs != dataset.num_outputs:
        raise UsageError(
            f"task.members[{number}] was trained on other data: it must read inputs of shape "
            f"{list(dataset.input_shape)} and have {dataset.num_outputs} outputs. Choose members of the same data set."
        )
