"""Encoder and decoder: the source is read in both directions, the target token by token with a look at the source.

    s = encoder(source)                      blocks of gpt whose attention is not causal, then a norm
    h = h + attention(norm(h)), then h = h + cross(norm(h), s), then h = h + mlp(norm(h)), in every block of the decoder

Paper     Vaswani et al. 2017, arXiv:1706.03762
Differs   norms before the layers and not after them; otherwise as lossbench/models/gpt.py says: RMSNorm, no biases, and
          rotary positions in the attentions within source and target, none across. One embedding for both
"""

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.gpt import Activation, Block, Linear, check_heads, initialise, rotary
from lossbench.models.model import Model


class EncoderBlock(Block):
    causal = False


class DecoderBlock(Block):
    """With a look at the encoded source between attention and MLP."""

    def __init__(self, width: int, heads: int, hidden: int, activation: Activation, qk_norm: bool, dropout: float):
        super().__init__(width, heads, hidden, activation, qk_norm, dropout)
        self.norm3 = nn.RMSNorm(width, eps=1e-6)
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * width)
        self.cross_projection = Linear(width, width)

    def cross(self, x: Tensor, source: Tensor) -> Tensor:
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(-2, -3)
        both = self.key_value(source).unflatten(-1, (2 * self.heads, -1)).transpose(-2, -3)
        key, value = both.chunk(2, -3)
        if self.qk_norm:
            query, key = (F.rms_norm(t, t.shape[-1:], eps=1e-6).to(value.dtype) for t in (query, key))
        mixed = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return self.cross_projection(mixed.transpose(-2, -3).flatten(-2))

    def decode(self, x: Tensor, source: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), cosine, sine, None, 0))
        x = x + self.dropout(self.cross(self.norm3(x), source))
        return x + self.dropout(self.mlp(self.norm2(x)))


class EncoderDecoder(nn.Module):
    """x [B, S + T] tokens of the source, then of the target -> features [B, S + T, width]; those of the source are its
    encoding, and no target counts there."""

    cosine: Tensor
    sine: Tensor

    def __init__(
        self,
        num_tokens: int,
        lengths: Sequence[int],
        width: int,
        head_size: int,
        encoder: Sequence[EncoderBlock],
        decoder: Sequence[DecoderBlock],
        rotary_base: float,
        dropout: float,
    ):
        super().__init__()
        self.source_length, self.target_length = lengths
        self.embedding = nn.Embedding(num_tokens, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.source_norm, self.norm = (nn.RMSNorm(width, eps=1e-6) for _ in range(2))
        cosine, sine = rotary(max(lengths), head_size, rotary_base)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.dropout(self.embedding(x.long()))
        source, h = embedded[..., : self.source_length, :], embedded[..., self.source_length :, :]
        for block in self.encoder:
            source = block(source, *self._angles(self.source_length))
        source = self.source_norm(source)
        for block in self.decoder:
            h = block.decode(h, source, *self._angles(h.shape[-2]))  # type: ignore[operator]
        return torch.cat([source, self.norm(h)], -2)

    def _angles(self, length: int) -> tuple[Tensor, Tensor]:
        return self.cosine[:length], self.sine[:length]


def encoder_decoder(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    depth: Annotated[int, Ge(1)] = 2,
    width: Annotated[int, Ge(2)] = 64,
    heads: Annotated[int, Ge(1)] = 4,
    mlp_ratio: Annotated[float, Ge(0.1)] = 4.0,
    activation: Activation = "gelu",
    qk_norm: bool = True,
    tied: bool = False,
    rotary_base: Annotated[float, Gt(1)] = 10000.0,
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> Model:
    """input_shape is (S, T), the lengths of source and target, as task=seq2seq gives them. Weights start as gpt's do.

    depth, width, heads  blocks of the encoder, and of the decoder; units of a token; heads of each attention
    mlp_ratio            hidden units of the MLP per unit of width, rounded
    activation           of the MLP
    qk_norm              queries and keys of every head are normalised
    tied                 the head's weight is the embedding's
    rotary_base          the slowest angle turns once in 2 pi rotary_base tokens
    dropout              probability, after the embedding, the attentions and the MLP
    """
    if len(input_shape) != 2:
        raise UsageError(
            f"model=encoder_decoder reads tokens of a source and of a target, [S, T], and was given the shape "
            f"{list(input_shape)}. Choose task=seq2seq with a data set such as dataset=reversal, or model=gpt."
        )
    check_heads(width, heads)
    sizes = (width, heads, max(round(mlp_ratio * width), 1), activation, qk_norm, dropout)
    encoder = [EncoderBlock(*sizes) for _ in range(depth)]
    decoder = [DecoderBlock(*sizes) for _ in range(depth)]
    body = EncoderDecoder(num_outputs, input_shape, width, width // heads, encoder, decoder, rotary_base, dropout)
    head = nn.Linear(width, num_outputs, bias=False)
    initialise(body, head, depth=depth, tied=tied)
    return Model(body, head, num_features=width)
