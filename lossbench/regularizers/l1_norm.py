"""L1 norm of the model's weights: draws small weights to exactly zero.

    l = weight sum_W sum_jk |W_jk|        over the parameters W with at least two axes: no biases, no norms

model_parameters    {name: tensor} of the model
weight              >= 0; 0 is no penalty
Returns   [] penalty of the model
Numerics  the gradient at 0 is 0
Paper     Tibshirani 1996, J. R. Stat. Soc. B 58(1), as the lasso
Differs   nothing
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def l1_norm(model_parameters: dict[str, Tensor], *, weight: Annotated[float, Ge(0)] = 1e-5) -> Float[Tensor, ""]:
    return weight * torch.stack([w.abs().sum() for w in model_parameters.values() if w.ndim >= 2]).sum()
