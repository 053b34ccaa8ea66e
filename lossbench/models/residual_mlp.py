"""Residual MLP of one-layer blocks, with the scaling of branches and learning rates over depth as a choice.

    h = W_in x + b_in
    h <- h + (branch_scale / m^branch_exponent) c(activation(W h / m^rate_exponent)), depth times
    features = h                                                m = depth / base_depth, c subtracts the mean over units

    A weight that is divided by m^rate_exponent, and starts that many times larger, has under Adam (and all whose steps
    do not depend on the size of the gradient) the learning rate divided by it.

    Depth-muP under Adam    branch_exponent 1/2, rate_exponent 1/2
    as it is without        branch_exponent 0,   rate_exponent 0
    ODE limit               branch_exponent 1,   rate_exponent 0

Paper     Yang et al. 2024, arXiv:2310.02244 (Tensor Programs VI)
Differs   the exponents count from base_depth, where all scalings are one network, so that a rate tuned there
          is the one that is carried over. Width is not scaled: inputs and outputs are torch's linear layers
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.models.model import Model

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "abs": torch.abs, "gelu": F.gelu, "tanh": F.tanh}


class Block(nn.Module):
    """h [*, width] -> the same shape."""

    def __init__(self, width: int, activation: str, branch: float, divisor: float):
        super().__init__()
        self.activation, self.branch, self.divisor = activation, branch, divisor
        self.linear = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.linear.weight, std=divisor / math.sqrt(width))

    def forward(self, h: Tensor) -> Tensor:
        made = ACTIVATIONS[self.activation](self.linear(h) / self.divisor)
        return h + self.branch * (made - made.mean(-1, keepdim=True))


def residual_mlp(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    width: Annotated[int, Ge(1)] = 64,
    depth: Annotated[int, Ge(1)] = 8,
    activation: Literal["relu", "abs", "gelu", "tanh"] = "relu",
    branch_scale: Annotated[float, Gt(0)] = 1.0,
    branch_exponent: Annotated[float, Ge(0)] = 0.5,
    rate_exponent: Annotated[float, Ge(0)] = 0.5,
    base_depth: Annotated[int, Ge(1)] = 1,
) -> Model:
    """Inputs of every shape. Hidden weights start normal with variance 1 / width (before division), the others as
    torch.nn.Linear's do.

    width, depth       units of the stream; blocks
    activation         abs is what the paper advises
    branch_scale       of every block, at base_depth
    branch_exponent, rate_exponent    how branches and learning rates of blocks fall with depth / base_depth
    base_depth         the depth at which the exponents do nothing
    """
    growth = depth / base_depth
    branch, divisor = branch_scale / growth**branch_exponent, growth**rate_exponent
    blocks = [Block(width, activation, branch, divisor) for _ in range(depth)]
    body = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), width), *blocks)
    return Model(body, nn.Linear(width, num_outputs), num_features=width)
