"""Low-rank adapters: one perceptron for all tasks, and for each a small change of its weights, mixed by the trade-off.

    W(a) = W + scale / rank sum_q a_q B_q A_q in every layer        a the trade-off, Q weights that sum to 1

Reads rows with the trade-off behind them, which task=pareto_front makes. B starts at 0, so that all trade-offs start as
one network; W is trained too.

Paper     Dimitriadis, Frossard and Fleuret 2024, arXiv:2407.08056, Pareto low-rank adapters (PaLoRA)
Differs   a perceptron with ReLU. The authors' code gives the adapters a learning rate Q times that of W
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.models.model import Model
from lossbench.models.trade_off import layers


class AdaptedLinear(nn.Linear):
    """weight   [E, D]        down   [Q, R, D]        up   [Q, E, R]"""

    def __init__(self, inputs: int, outputs: int, tasks: int, rank: int, scale: float):
        super().__init__(inputs, outputs)
        drawn = [nn.Linear(inputs, rank, bias=False).weight.detach() for _ in range(tasks)]
        self.down = nn.Parameter(torch.stack(drawn))
        self.up = nn.Parameter(torch.zeros(tasks, outputs, rank))
        self.scale = scale / rank

    def forward(self, values: Tensor, trade_off: Tensor) -> Tensor:  # type: ignore[override]
        low = (values @ self.down.flatten(0, 1).mT).unflatten(-1, self.down.shape[:2]) * trade_off.unsqueeze(-1)
        return super().forward(values) + self.scale * (low.flatten(-2) @ self.up.transpose(0, 1).flatten(1).mT)


def low_rank_adapters(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Sequence[Annotated[int, Ge(1)]] = (64, 64),
    num_tasks: Annotated[int, Ge(1)] = 2,
    rank: Annotated[int, Ge(1)] = 1,
    scale: Annotated[float, Gt(0)] = 1.0,
) -> Model:
    """Rows with the trade-off behind them; outputs [*, Q, C].

    widths      units of each hidden layer
    num_tasks   Q, of the tasks and of the adapters of a layer
    rank        of each adapter
    scale       of the adapters: the paper's alpha
    """
    body, head, size = layers(
        lambda inputs, outputs: AdaptedLinear(inputs, outputs, num_tasks, rank, scale),
        input_shape=input_shape,
        num_outputs=num_outputs,
        widths=widths,
        tasks=num_tasks,
        model="low_rank_adapters",
    )
    return Model(body, head, num_features=size)
