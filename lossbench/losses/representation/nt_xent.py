"""NT-Xent: each view of an example is to find its other view among all the views of the batch.

    l_i = (l(u_i, v_i) + l(v_i, u_i)) / 2        l(a, b) = -a.b / temperature + log sum_{c != a} exp(a.c / temperature)

u and v are the embeddings with norm 1; c runs over all 2B views of the batch but a itself.

embeddings         [B, D] of the first view          second_embeddings [B, D] of the second
temperature        > 0
tile               rows and columns of the similarities that are formed at a time, >= 1; null forms all [2B, 2B] of
                   them. The result is the same; memory is flat in the square of the batch, the time somewhat longer
Returns            [B] loss per example, mean over its two views
Numerics           lossbench/tiled.py; with a tile, the backward pass computes the similarities again
Paper              Chen et al. 2020, arXiv:2002.05709; tiles as in Cheng et al. 2024, arXiv:2410.17243
Differs            nothing
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import normalize
from lossbench.tiled import log_sum_exp_products


def nt_xent(
    embeddings: Float[Tensor, "B D"],
    second_embeddings: Float[Tensor, "B D"],
    *,
    temperature: Annotated[float, Gt(0)] = 0.5,
    tile: Annotated[int, Ge(1)] | None = None,
) -> Float[Tensor, "B"]:
    u, v = normalize(embeddings), normalize(second_embeddings)
    views = torch.cat([u, v])
    among_all = log_sum_exp_products(views / temperature, views, tile, skip_own=True).unflatten(0, (2, len(u)))
    return among_all.mean(0) - (u * v).sum(-1) / temperature
