"""Weight simplex: one perceptron for each task, and between them all whose weights are mixtures of theirs.

    W(a) = sum_q a_q W_q, b(a) = sum_q a_q b_q in every layer        a the trade-off, Q weights that sum to 1

Reads rows with the trade-off behind them, which task=pareto_front makes; a corner is the network of one task alone. The
members start apart, each as torch.nn.Linear draws it.

Paper     Dimitriadis, Frossard and Fleuret 2022, arXiv:2210.09759, Pareto manifold learning (PaMaL)
Differs   a perceptron with ReLU; the paper's networks are convolutional. Mixed weights are never formed: layers are
          linear, so that the members' outputs are mixed, which lets every example have a trade-off of its own
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from lossbench.models.model import Model
from lossbench.models.trade_off import layers


class MixedLinear(nn.Module):
    """weight   [Q, E, D]        bias   [Q, E]"""

    def __init__(self, inputs: int, outputs: int, tasks: int):
        super().__init__()
        members = [nn.Linear(inputs, outputs) for _ in range(tasks)]
        self.weight = nn.Parameter(torch.stack([member.weight.detach() for member in members]))
        self.bias = nn.Parameter(torch.stack([member.bias.detach() for member in members]))

    def forward(self, values: Tensor, trade_off: Tensor) -> Tensor:
        each = (values @ self.weight.flatten(0, 1).mT).unflatten(-1, self.bias.shape) + self.bias  # [*, Q, E]
        return (trade_off.unsqueeze(-1) * each).sum(-2)


def weight_simplex(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Sequence[Annotated[int, Ge(1)]] = (64, 64),
    num_tasks: Annotated[int, Ge(1)] = 2,
) -> Model:
    """Rows with the trade-off behind them; outputs [*, Q, C].

    widths      units of each hidden layer
    num_tasks   Q, of the tasks and of the members
    """
    body, head, size = layers(
        lambda inputs, outputs: MixedLinear(inputs, outputs, num_tasks),
        input_shape=input_shape,
        num_outputs=num_outputs,
        widths=widths,
        tasks=num_tasks,
        model="weight_simplex",
    )
    return Model(body, head, num_features=size)
