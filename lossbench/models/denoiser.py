"""Denoiser: gpt whose tokens see those before and after, with one more token for what is hidden.

Paper     Ni et al. 2025, arXiv:2511.03276: the same network for diffusion, without a noise level as input
Differs   as lossbench/models/gpt.py says
"""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Interval
from torch import nn

from lossbench.errors import UsageError
from lossbench.models.encoder_decoder import EncoderBlock
from lossbench.models.gpt import Activation, Decoder, check_heads, initialise
from lossbench.models.model import Model


def denoiser(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    depth: Annotated[int, Ge(1)] = 4,
    width: Annotated[int, Ge(2)] = 128,
    heads: Annotated[int, Ge(1)] = 4,
    mlp_ratio: Annotated[float, Ge(0.1)] = 4.0,
    activation: Activation = "gelu",
    qk_norm: bool = True,
    rotary_base: Annotated[float, Gt(1)] = 10000.0,
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> Model:
    """input_shape is (T,); the token num_outputs stands for a hidden one. Weights start as gpt's.

    depth, width, heads  blocks; units of a token; heads of each attention, which must divide width into even sizes
    mlp_ratio            hidden units of the MLP per unit of width, rounded
    activation           of the MLP
    qk_norm              queries and keys of every head are normalised before they are rotated
    rotary_base          the slowest angle turns once in 2 pi rotary_base tokens
    dropout              probability, after the embedding, the attention and the MLP
    """
    if len(input_shape) != 1:
        raise UsageError(
            f"model=denoiser reads tokens [T], and the inputs of this data set have the shape {list(input_shape)}. "
            "Choose a data set of tokens, such as dataset=shakespeare, or another model."
        )
    check_heads(width, heads)
    hidden = max(round(mlp_ratio * width), 1)
    blocks = [EncoderBlock(width, heads, hidden, activation, qk_norm, dropout) for _ in range(depth)]
    body = Decoder(num_outputs + 1, input_shape[0], width, width // heads, blocks, rotary_base, dropout, False, 1.0)
    head = nn.Linear(width, num_outputs, bias=False)
    initialise(body, head, depth=depth, tied=False)
    return Model(body, head, num_features=width)
