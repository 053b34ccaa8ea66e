"""PCGrad: from each gradient the parts that conflict with the others are taken off, one after another; then the sum.

    p <- g_i;  for j != i in random order:  p <- p - min(p . g_j, 0) g_j / |g_j|^2;   direction = sum_i p_i

Of two objectives the direction conflicts with neither; of more it may.

jacobian    [m, n] one gradient a row
generator   draws the orders
Returns     [n] the direction
Paper       Yu et al. 2020, arXiv:2001.06782, algorithm 1
Differs     nothing
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor


def pcgrad(jacobian: Float[Tensor, "m n"], generator: Generator) -> Float[Tensor, "n"]:
    gramian = (jacobian @ jacobian.mT).double().cpu()
    m = len(gramian)
    weights = torch.eye(m, dtype=gramian.dtype)  # row i: what p_i is made of
    for i in range(m):
        for j in torch.randperm(m, generator=generator, device=generator.device).tolist():
            along = weights[i] @ gramian[:, j]
            if j != i and along < 0:
                weights[i, j] -= along / gramian[j, j]
    return weights.sum(0).to(jacobian) @ jacobian
