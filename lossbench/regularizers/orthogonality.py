"""Soft orthogonality: draws the Gram matrix of every weight matrix towards the identity.

    l = weight sum_W |W W' - I|^2  or  |W' W - I|^2, whichever is smaller        | | the Frobenius norm

Each W is a parameter with at least two axes, as a matrix of its first axis by all others: [out, in * height * width].

model_parameters    {name: tensor} of the model
weight              >= 0; 0 is no penalty
Returns   [] penalty of the model; 0 where every matrix has orthonormal rows or columns
Paper     Bansal et al. 2018, arXiv:1810.09102, section 3.1 (soft orthogonality)
Differs   theirs always takes the Gram matrix of one side; the other side's is larger by the constant |rows - columns|,
          so the gradient is the same, and the smaller one can reach 0
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def orthogonality(model_parameters: dict[str, Tensor], *, weight: Annotated[float, Ge(0)] = 1e-4) -> Float[Tensor, ""]:
    matrices = [w.flatten(1) for w in model_parameters.values() if w.ndim >= 2]
    return weight * torch.stack([_distance_from_orthonormal(m) for m in matrices]).sum()


def _distance_from_orthonormal(matrix: Tensor) -> Tensor:
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = wide @ wide.T
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()
