"""InfoNCE: each embedding is to find its partner among those of the batch on the other side.

    l_i = -s_ii + log sum_j exp s_ij        s_ij = u_i.v_j / temperature

u and v are the embeddings with norm 1. With symmetric, the mean of this and of the same with the sides exchanged.

embeddings         [B, D] of one side                second_embeddings [B, D] of the other, partners in the same row
params             {} or, with learn_temperature, {log_scale: []}, the logarithm of 1 / temperature
temperature        > 0; where the learned one starts
learn_temperature  whether it is trained
symmetric          both directions, as for pairs of images and texts
tile               rows and columns of the similarities that are formed at a time, >= 1; null forms all [B, B] of them.
                   The result is the same; memory is flat in the square of the batch, the time somewhat longer
Returns            [B] loss per example
Numerics           lossbench/tiled.py; with a tile, the backward pass computes the similarities again
Paper              van den Oord et al. 2018, arXiv:1807.03748, with the similarity, the learned scale and the two
                   directions of Radford et al. 2021, arXiv:2103.00020; tiles as in Cheng et al. 2024, arXiv:2410.17243
Differs            a learned scale has no upper limit; Radford et al. set it back to 100 after a step that passes it
"""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import normalize
from lossbench.tiled import log_sum_exp_products


def info_nce(
    embeddings: Float[Tensor, "B D"],
    second_embeddings: Float[Tensor, "B D"],
    params: dict[str, Tensor],
    *,
    temperature: Annotated[float, Gt(0)] = 0.07,
    learn_temperature: bool = False,
    symmetric: bool = True,
    tile: Annotated[int, Ge(1)] | None = None,
) -> Float[Tensor, "B"]:
    u, v = normalize(embeddings), normalize(second_embeddings)
    scaled = u * params["log_scale"].exp() if params else u / temperature
    among_all = log_sum_exp_products(scaled, v, tile)
    if symmetric:
        among_all = (among_all + log_sum_exp_products(v, scaled, tile)) / 2
    return among_all - (scaled * v).sum(-1)


def init_params(*, temperature: float, learn_temperature: bool) -> dict[str, Tensor]:
    return {"log_scale": torch.tensor(-math.log(temperature))} if learn_temperature else {}
