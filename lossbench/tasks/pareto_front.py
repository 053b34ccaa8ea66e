"""Pareto front: multi-task learning by one model that is told the trade-off between the tasks, and so has all of them.

The model's input is the flattened x with the trade-off a behind it, Q weights that sum to 1. In a step it is run on the
whole batch for each of a few trade-offs; it is measured on an even grid of them.

Batch         as in multi_task
sampling      dirichlet: drawn in every step, from Dirichlet(concentration); annealed: fixed ones, which are all in the
              middle at first and move outwards: even points from margin to 1 - margin, to the power of
              sharpness * progress, divided by their sum; two tasks only
number        trade-offs a step, >= 1; annealed: >= 2
concentration > 0: 1 is uniform, more is nearer to the middle
sharpness     >= 0: at 1 the annealed ones end evenly spread, beyond it nearer to the corners
margin        in (0, 1/2)
points        steps of the grid along an edge that is measured on: 10 are 11 trade-offs between two tasks
Metrics       lossbench/metrics/multi_task.py: hypervolume and order of the front of accuracies; and those of multi_task
              of the trade-off in the middle, as they are there
Paper         annealed: Dimitriadis, Frossard and Fleuret 2024, arXiv:2407.08056 (PaLoRA), as its released code has it
"""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.multi_task import trade_off_grid
from lossbench.tasks.multi_task import MultiTask


class ParetoFront(MultiTask):
    selection = ("hypervolume", "higher")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        sampling: Literal["dirichlet", "annealed"] = "dirichlet",
        number: Annotated[int, Ge(1)] = 4,
        concentration: Annotated[float, Gt(0)] = 1.0,
        sharpness: Annotated[float, Ge(0)] = 5.0,
        margin: Annotated[float, Interval(gt=0, lt=0.5)] = 0.01,
        points: Annotated[int, Ge(2)] = 10,
    ):
        super().__init__(dataset, device)
        self._annealed, self._count, self._sharpness = sampling == "annealed", number, sharpness
        if self._annealed and (self._number != 2 or number < 2):
            raise UsageError(
                f"task.sampling=annealed spreads task.number={number} trade-offs between two tasks, of which there are "
                f"{self._number}: it takes two tasks and task.number >= 2. Choose task.sampling=dirichlet."
            )
        self._gamma = torch.full((number, self._number), concentration)
        along = torch.linspace(margin, 1 - margin, number, device=device)
        self._even = torch.stack([along, along.flip(0)], 1)
        self._grid = trade_off_grid(self._number, points).to(device)

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        number = dataset.train.labels["task_targets"].shape[-1] if "task_targets" in dataset.train.labels else 1
        return (torch.Size(dataset.input_shape).numel() + number,), dataset.num_outputs

    def trade_off_draws(self, x: Tensor, generator: Generator) -> Tensor:
        gamma = self._gamma.to(x.device)
        # torch's gamma has no public way to take a generator; the private one is what torch.distributions calls.
        return torch._standard_gamma(gamma, generator=generator).clamp(min=1e-12).expand(len(x), -1, -1)

    def trade_offs(self, trade_off_draws: Tensor, progress: Tensor | float) -> Tensor:
        if not self._annealed:
            return trade_off_draws / trade_off_draws.sum(-1, keepdim=True)
        powers = self._even ** (self._sharpness * progress)
        return (powers / powers.sum(-1, keepdim=True)).expand(len(trade_off_draws), -1, -1)

    def trade_off_logits(self, forward: Callable, x: Tensor, trade_offs: Tensor) -> Tensor:
        """[B, V, Q, C]"""
        number = trade_offs.shape[1]
        inputs = x.flatten(1).unsqueeze(1).expand(-1, number, -1)
        told = torch.cat([inputs, trade_offs.to(inputs.dtype)], -1).flatten(0, 1)
        return self._of_all_tasks(forward(told)).unflatten(0, (len(x), number))

    def grid_logits(self, forward: Callable, x: Tensor) -> Tensor:
        return self.trade_off_logits(forward, x, self._grid.expand(len(x), -1, -1))

    def metrics(self, grid_logits: Tensor, task_targets: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        from lossbench.metrics.multi_task import front_metrics

        return front_metrics(grid_logits, task_targets, self._grid)
