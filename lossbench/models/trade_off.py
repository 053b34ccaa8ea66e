"""What models that are told a trade-off share: it travels behind the activations, from layer to layer to the head."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lossbench.errors import UsageError


class Told(nn.Module):
    """A layer [*, D], trade-off [*, Q] -> [*, E], as a layer of [*, D + Q] -> [*, E + Q]; the last one [*, Q', C]."""

    def __init__(self, layer: nn.Module, tasks: int, activation: nn.Module | None = None, *, outputs: int = 0):
        super().__init__()
        self.layer, self.tasks, self.activation, self.outputs = layer, tasks, activation, outputs

    def forward(self, told: Tensor) -> Tensor:
        values, trade_off = told[..., : -self.tasks], told[..., -self.tasks :]
        found = self.layer(values, trade_off)
        if self.activation is None:
            return found.unflatten(-1, (self.tasks, self.outputs))
        return torch.cat([self.activation(found), trade_off], -1)


def layers(
    make: Callable[[int, int], nn.Module],
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Sequence[int],
    tasks: int,
    model: str,
) -> tuple[nn.Sequential, Told, int]:
    """(body, head, number of features) of a perceptron of such layers; ``make`` gives one of (inputs, outputs)."""
    if len(input_shape) != 1 or input_shape[0] <= tasks:
        raise UsageError(
            f"model={model} reads rows with the trade-off behind them, not inputs of the shape {list(input_shape)}. "
            "Choose task=pareto_front, which makes them."
        )
    size, body = input_shape[0] - tasks, []
    for width in widths:
        body.append(Told(make(size, width), tasks, nn.ReLU()))
        size = width
    return nn.Sequential(*body), Told(make(size, tasks * num_outputs), tasks, outputs=num_outputs), size + tasks
