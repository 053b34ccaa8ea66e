import itertools

import numpy
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from lossbench.metrics.multi_task import front_metrics, hypervolume, multi_task_metrics, order, trade_off_grid
from tests.metrics.support import near, random


@pytest.mark.parametrize("tasks", [1, 2, 3, 4])
def test_hypervolume_by_brute_force(tasks):
    """On the grid of all coordinates, a cell counts where some point is above its upper corner."""
    for seed in range(5):
        points = random(6, tasks, seed=seed).double().sigmoid()
        points[1] = points[0]  # a point twice
        edges = [sorted({0.0, *points[:, q].tolist()}) for q in range(tasks)]
        volume = 0.0
        for cell in itertools.product(*(range(len(e) - 1) for e in edges)):
            upper = [edges[q][c + 1] for q, c in enumerate(cell)]
            if any(all(point[q] >= upper[q] for q in range(tasks)) for point in points.tolist()):
                volume += numpy.prod([edges[q][c + 1] - edges[q][c] for q, c in enumerate(cell)])
        near(hypervolume(points), volume)


def test_hypervolume_by_hand():  # 0.5 x 1 and 1 x 0.5 overlap in 0.5 x 0.5; a dominated point adds nothing
    near(hypervolume(torch.tensor([[0.5, 1.0], [1.0, 0.5], [0.4, 0.4]], dtype=torch.float64)), 0.75)
    near(hypervolume(torch.tensor([[-1.0, 1.0]], dtype=torch.float64)), 0.0)


def test_grid():
    assert trade_off_grid(2, 4).tolist() == [[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]
    assert len(trade_off_grid(3, 10)) == 66 and torch.allclose(trade_off_grid(3, 10).sum(1), torch.ones(66))


def test_metrics_of_tasks():  # scikit-learn
    logits, targets = random(200, 3, 4).double(), torch.randint(4, (200, 3), generator=torch.Generator().manual_seed(0))
    actual = multi_task_metrics(logits, targets)
    accuracies = [accuracy_score(targets[:, q], logits[:, q].argmax(-1)) for q in range(3)]
    near(actual["accuracy"], sum(accuracies) / 3)
    near(actual["least_accuracy"], min(accuracies))
    near(actual["task1_accuracy"], accuracies[1])
    near(
        actual["nll"],
        sum(log_loss(targets[:, q], logits[:, q].softmax(-1).numpy(), labels=range(4)) for q in range(3)) / 3,
    )


def test_metrics_of_a_front():
    grid, targets = trade_off_grid(2, 4), torch.randint(4, (100, 2), generator=torch.Generator().manual_seed(0))
    logits = random(100, 5, 2, 4)
    actual = front_metrics(logits, targets, grid)
    points = (logits.argmax(-1) == targets.unsqueeze(1)).double().mean(0)
    near(actual["hypervolume"], hypervolume(points))
    near(actual["best_accuracy"], (points[:, 0].max() + points[:, 1].max()) / 2)
    near(actual["accuracy"], multi_task_metrics(logits[:, 2], targets)["accuracy"])


def test_order():  # by hand: the first task's loss falls with its weight in 3 of 4 steps, the second's in 2 of 4
    losses = torch.tensor([[4.0, 1.0], [3.0, 2.0], [3.5, 1.5], [2.0, 4.0], [1.0, 3.0]])
    near(order(losses, trade_off_grid(2, 4)), 5 / 8)
    assert order(-losses.flip(0), trade_off_grid(2, 4)) == 5 / 8
    falling = torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]])
    grid = trade_off_grid(3, 5)
    assert order(-grid, grid) == 1 and order(grid @ (falling / 3), grid) == 0
