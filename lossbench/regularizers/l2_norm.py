"""L2 norm of the model's weights: half their sum of squares.

    l = weight / 2 sum_W sum_jk W_jk^2        over the parameters W with at least two axes: no biases, no norms

model_parameters    {name: tensor} of the model
weight              >= 0; 0 is no penalty
Returns   [] penalty of the model
Numerics  no square root, so the gradient is weight W everywhere: for plain SGD the same as weight decay
Paper     Krogh and Hertz 1991, A simple weight decay can improve generalization
Differs   weight decay of an optimizer reaches the biases too, and in AdamW it is not divided by the second moment
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def l2_norm(model_parameters: dict[str, Tensor], *, weight: Annotated[float, Ge(0)] = 5e-4) -> Float[Tensor, ""]:
    return weight / 2 * torch.stack([w.square().sum() for w in model_parameters.values() if w.ndim >= 2]).sum()
