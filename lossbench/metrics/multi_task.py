"""Metrics of several tasks at once, and of a front of trade-offs between them."""

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.ranking import precise


def multi_task_metrics(
    task_logits: Float[Tensor, "N Q C"], task_targets: Int[Tensor, "N Q"]
) -> dict[str, Float[Tensor, ""]]:
    """accuracy (mean over the tasks), least_accuracy (of the worst task), nll (mean), task<q>_accuracy (from 0)."""
    accuracies, losses = _of_each_task(task_logits.unsqueeze(1), task_targets)
    accuracies, losses = accuracies[0], losses[0]
    values = {"accuracy": accuracies.mean(), "least_accuracy": accuracies.amin(), "nll": losses.mean()}
    return {**values, **{f"task{q}_accuracy": value for q, value in enumerate(accuracies.unbind())}}


def front_metrics(
    grid_logits: Float[Tensor, "N V Q C"], task_targets: Int[Tensor, "N Q"], grid: Float[Tensor, "V Q"]
) -> dict[str, Float[Tensor, ""]]:
    """Of a model that was run for every trade-off of a grid.

    hypervolume      of the accuracies, against none: the part of the unit cube that some trade-off dominates
    order            how often, from one trade-off of the grid to a neighbour, the loss of the task that gains weight
                     does not rise: 1 where the model does what it is told
    best_accuracy    mean over the tasks of each one's highest accuracy on the grid
    and ``multi_task_metrics`` of the trade-off in the middle
    """
    accuracies, losses = _of_each_task(grid_logits, task_targets)
    middle = (grid - 1 / grid.shape[1]).abs().sum(1).argmin()
    return {
        "hypervolume": hypervolume(accuracies),
        "order": order(losses, grid),
        "best_accuracy": accuracies.amax(0).mean(),
        **multi_task_metrics(grid_logits.index_select(1, middle.reshape(1)).squeeze(1), task_targets),
    }


def _of_each_task(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """([V, Q] accuracies, [V, Q] mean negative log-likelihoods)."""
    wanted = targets.unsqueeze(1).expand(logits.shape[:-1])
    losses = -precise(logits).log_softmax(-1).gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    return precise(logits.argmax(-1) == wanted).mean(0), losses.mean(0)


def hypervolume(points: Float[Tensor, "V Q"]) -> Float[Tensor, ""]:
    """Volume of what lies between 0 and some of the points, that are to be large; coordinates below 0 count as 0.

    By slices along the last coordinate: between two of its values, the volume is that of the points above, in one
    dimension less. For few points.
    """
    points = precise(points).clamp(min=0)
    if points.shape[1] == 1:
        return points.amax()
    ordered = points[points[:, -1].argsort(descending=True)]
    heights = ordered[:, -1]
    below = torch.cat([heights[1:], heights.new_zeros(1)])
    slices = [(heights[i] - below[i]) * hypervolume(ordered[: i + 1, :-1]) for i in range(len(ordered))]
    return torch.stack(slices).sum()


def order(losses: Float[Tensor, "V Q"], grid: Float[Tensor, "V Q"]) -> Float[Tensor, ""]:
    """The part of the steps of weight from one task to another after which the loss of the latter is not higher."""
    steps = grid.unsqueeze(0) - grid.unsqueeze(1)  # [i, j, q] from trade-off i to j
    size = grid[grid > 0].amin()
    neighbours = ((steps.abs().sum(-1) - 2 * size).abs() < size / 2).unsqueeze(-1)
    counted = neighbours & (steps > size / 2)
    not_higher = losses.unsqueeze(0) <= losses.unsqueeze(1)
    return precise(counted & not_higher).sum() / precise(counted).sum()


def trade_off_grid(tasks: int, points: int) -> Float[Tensor, "V Q"]:
    """All weightings in steps of 1 / points, in the order of the first task's weight."""
    rows = [row for row in itertools.product(range(points + 1), repeat=tasks) if sum(row) == points]
    return torch.tensor(rows) / points
