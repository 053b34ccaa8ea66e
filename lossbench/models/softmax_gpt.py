"""Softmax-only GPT: a decoder whose softmax is its only nonlinearity, and which tells how spread its attention is.

    h = embedding(x)
    h = h + attention(h), then h = h + scale * (W h), in every block        features = (h, entropies)

The body gives [B, T, width + depth * heads]: the features and beside them the entropy of each head of each layer at
each token, in nats, which the head leaves out. task=attention_modeling takes them apart.

Paper     Jha and Reagen 2025, arXiv:2501.03489: no normalisation, feed-forward layers that are fused to one linear map
          with a learned scale (SM + ScFuFFN)
Differs   the scale of each unit begins at 0.1, and there is none on the residual stream; no learned temperature of the
          softmax; rotary positions instead of learned ones
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.gpt import Linear, check_heads, rotary, rotate
from lossbench.models.leading_linear import LeadingLinear
from lossbench.models.model import Model


class SoftmaxBlock(nn.Module):
    """x [B, T, width] -> (the same shape, [B, T, heads] entropy of the attention)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = Linear(width, 3 * width)
        self.projection = Linear(width, width)
        self.feed_forward = Linear(width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
        parts = self.query_key_value(x).unflatten(-1, (3 * self.heads, -1)).transpose(-2, -3)
        both, value = parts.split([2 * self.heads, self.heads], -3)
        query, key = rotate(both, cosine, sine).to(value.dtype).chunk(2, -3)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        length = x.shape[-2]
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        # Not minus infinity: 0 times it would be NaN in the entropy.
        log_a = scores.masked_fill(later, torch.finfo(scores.dtype).min / 2).log_softmax(-1)
        a = log_a.exp()
        entropy = -(a * log_a.masked_fill(later, 0.0)).sum(-1)
        x = x + self.projection((a @ value).transpose(-2, -3).flatten(-2))
        return x + self.scale * self.feed_forward(x), entropy.transpose(-1, -2)


class SoftmaxDecoder(nn.Module):
    """x [B, T] token indices -> [B, T, width + depth * heads]"""

    cosine: Tensor
    sine: Tensor

    def __init__(self, num_tokens: int, context: int, depth: int, width: int, heads: int, rotary_base: float):
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, width)
        self.blocks = nn.ModuleList([SoftmaxBlock(width, heads) for _ in range(depth)])
        cosine, sine = rotary(context, width // heads, rotary_base)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        cosine, sine = self.cosine[: x.shape[-1]], self.sine[: x.shape[-1]]
        h = self.embedding(x.long())
        entropies = []
        for block in self.blocks:
            h, entropy = block(h, cosine, sine)
            entropies.append(entropy)
        return torch.cat([h, *entropies], -1)


def softmax_gpt(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    depth: Annotated[int, Ge(1)] = 3,
    width: Annotated[int, Ge(2)] = 64,
    heads: Annotated[int, Ge(1)] = 4,
    rotary_base: Annotated[float, Gt(1)] = 10000.0,
) -> Model:
    """input_shape is (T,): blocks of T tokens; num_outputs is the size of the vocabulary.

    Weights start normal with deviation 1 / sqrt(inputs), those that write to the residual stream smaller by
    sqrt(2 depth), the head by 10; the embedding with deviation 1.

    depth, width, heads   blocks; units of a token; heads of each attention, which must divide width into even sizes
    rotary_base           the slowest angle turns once in 2 pi rotary_base tokens
    """
    if len(input_shape) != 1:
        raise UsageError(
            f"model=softmax_gpt reads tokens [T], and the inputs of this data set have the shape {list(input_shape)}. "
            "Choose a data set of tokens, such as dataset=shakespeare, or another model."
        )
    check_heads(width, heads)
    body = SoftmaxDecoder(num_outputs, input_shape[0], depth, width, heads, rotary_base)
    for name, parameter in body.named_parameters():
        if name.endswith(("projection.weight", "feed_forward.weight")):
            nn.init.normal_(parameter, std=1 / math.sqrt(width * 2 * depth))
        elif name.endswith("query_key_value.weight"):
            nn.init.normal_(parameter, std=1 / math.sqrt(width))
    nn.init.normal_(body.embedding.weight)
    head = LeadingLinear(width, num_outputs, bias=False)
    nn.init.normal_(head.weight, std=0.1 / math.sqrt(width))
    return Model(body, head, num_features=width)
