"""What the tests of single schedules share: the curve of a schedule, and the curve of one of torch's schedulers."""

import warnings
from collections.abc import Callable

import torch


def curve(schedule: Callable, total_steps: int, **hyperparameters: object) -> list[float]:
    """The multiplier at every step of a run."""
    return [schedule(step, total_steps, **hyperparameters) for step in range(total_steps)]


def torch_curve(scheduler: Callable, total_steps: int, /, **arguments: object) -> list[float]:
    """The learning rate that one of torch's schedulers gives at every step, from a learning rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's SequentialLR calls its own deprecated step(epoch)
        torch_scheduler = scheduler(optimizer, **arguments)
        rates = []
        for _ in range(total_steps):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if len(rates) < total_steps:
                torch_scheduler.step()
    return rates
