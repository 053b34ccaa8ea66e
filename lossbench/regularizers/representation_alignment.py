"""Representation alignment (ARRA): every step of writing an image is drawn to what the whole image will be.

    l_it = weight (1 - cos(a_it, image_features_i))        a_it = W2 gelu(W1 features_it + b1) + b2

features  [B, T, D] of the model, where it is about to write each token
image_features  [B, E] of the image that is to be written, from a frozen encoder
params    {"W1": [hidden, D], "b1": [hidden], "W2": [E, hidden], "b2": [E]}, learned along
weight    >= 0; 0 is no penalty
hidden    units between the two layers        image_size   E; null: D
Returns   [B, T] penalty per token
Numerics  the cosine of a vector of zeros is 0
Paper     Xie et al. 2025, arXiv:2503.07334; weight 1
Differs   the paper aligns the hidden states of some layer, the authors' code those of the first; here it is the last,
          the input of the head. Both have tokens of text before those of the image
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge
from jaxtyping import Float
from torch import Generator, Tensor

from lossbench.ops import normalize, stopgrad


def init_params(
    *, num_features: int, generator: Generator, hidden: int = 64, image_size: int | None = None
) -> dict[str, Tensor]:
    def drawn(*shape: int, inputs: int) -> Tensor:  # as torch.nn.Linear draws
        return (2 * torch.rand(shape, generator=generator) - 1) / inputs**0.5

    outputs = image_size or num_features
    return {
        "W1": drawn(hidden, num_features, inputs=num_features),
        "b1": drawn(hidden, inputs=num_features),
        "W2": drawn(outputs, hidden, inputs=hidden),
        "b2": drawn(outputs, inputs=hidden),
    }


def representation_alignment(
    features: Float[Tensor, "B T D"],
    image_features: Float[Tensor, "B E"],
    params: dict[str, Tensor],
    *,
    weight: Annotated[float, Ge(0)] = 1.0,
    hidden: Annotated[int, Ge(1)] = 64,
    image_size: Annotated[int, Ge(1)] | None = None,
) -> Float[Tensor, "B T"]:
    made = F.gelu(features @ params["W1"].mT + params["b1"]) @ params["W2"].mT + params["b2"]
    wanted = normalize(stopgrad(image_features)).unsqueeze(-2)
    return weight * (1 - (normalize(made) * wanted).sum(-1))
