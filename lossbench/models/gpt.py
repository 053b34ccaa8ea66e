"""GPT: a decoder with rotary positions, RMSNorm before attention and MLP, no biases, and a linear head.

    h = embedding(x)
    h = h + attention(norm(h)), then h = h + mlp(norm(h)), in every block        features = norm(h)

Paper     decoder: Radford et al. 2019 (GPT-2); rotary positions: Su et al. 2021, arXiv:2104.09864; RMSNorm: Zhang and
          Sennrich 2019, arXiv:1910.07467; norm of queries and keys: Dehghani et al. 2023, arXiv:2302.05442; gated MLP:
          Shazeer 2020, arXiv:2002.05202; muP: Yang et al. 2022, arXiv:2203.03466; small starts and
          scaled or normalised embeddings: Takase et al. 2023, arXiv:2312.16903
Differs   GPT-2 has learned positions, LayerNorm and biases. The two halves of a head are rotated against each other, as
          in most code, where the paper rotates neighbours: a permutation of the units. muP's learning rates by layer
          are written as multipliers of the weights (under Adam the same training), so that every optimizer of one
          learning rate can be used; its attention scale is sqrt(32) / head size, the usual one for heads of 32 units.
          Soft-capping of the logits belongs to the task: task.softcap
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lossbench.errors import UsageError
from lossbench.models.model import Model

Start = Literal["fan_in", "small"]
Embedding = Literal["unit", "small", "scaled", "normalized"]
Activation = Literal["gelu", "silu", "relu", "relu_squared", "swiglu"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "relu": F.relu,
    "relu_squared": lambda x: F.relu(x).square(),
}


class Cache:
    """Keys and values of the tokens that were read, for every block: what generation does not compute twice.

    length   tokens that were read; there is room for ``capacity`` of them
    """

    def __init__(self, depth: int, capacity: int):
        self.capacity, self.length = capacity, 0
        self.blocks: list[tuple[Tensor, Tensor] | None] = [None] * depth

    def extend(self, block: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, T, size] of the new tokens, behind those that are there; returns all of them."""
        held = self.blocks[block]
        if held is None:
            shape = (*key.shape[:-2], self.capacity, key.shape[-1])
            held = self.blocks[block] = (key.new_empty(shape), value.new_empty(shape))
        stop = self.length + key.shape[-2]
        for room, new in zip(held, (key, value), strict=True):
            room[..., self.length : stop, :] = new
        return held[0][..., :stop, :], held[1][..., :stop, :]


class Linear(nn.Linear):
    """Without bias, times a constant."""

    def __init__(self, inputs: int, outputs: int, multiplier: float = 1.0):
        super().__init__(inputs, outputs, bias=False)
        self.multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        made = super().forward(x)
        return made if self.multiplier == 1.0 else made * self.multiplier


def rotary(length: int, head_size: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine, [length, head_size / 2], of the angle of every place in every plane."""
    angles = torch.outer(torch.arange(length), base ** (-torch.arange(0, head_size, 2) / head_size))
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Unit i of the first half of the last axis and unit i of the second, rotated as a plane by their angle."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


class Block(nn.Module):
    """x [B, T, width] -> the same shape. ``causal``: no token sees a later one."""

    causal = True

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        activation: Activation,
        qk_norm: bool,
        dropout: float,
        multiplier: float = 1.0,
        scale: float | None = None,
    ):
        super().__init__()
        self.heads, self.activation, self.qk_norm = heads, activation, qk_norm
        self.scale = (width // heads) ** -0.5 if scale is None else scale
        self.norm1 = nn.RMSNorm(width, eps=1e-6)
        self.query_key_value = Linear(width, 3 * width, multiplier)
        self.projection = Linear(width, width, multiplier)
        self.norm2 = nn.RMSNorm(width, eps=1e-6)
        self.expand = Linear(width, hidden * (2 if activation == "swiglu" else 1), multiplier)
        self.contract = Linear(hidden, width, multiplier)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def attention(self, x: Tensor, cosine: Tensor, sine: Tensor, cache: Cache | None, place: int) -> Tensor:
        heads = self.query_key_value(x).unflatten(-1, (3 * self.heads, -1)).transpose(-2, -3)
        both, value = heads.split([2 * self.heads, self.heads], -3)
        if self.qk_norm:
            both = F.rms_norm(both, both.shape[-1:], eps=1e-6)
        query, key = rotate(both, cosine, sine).to(value.dtype).chunk(2, -3)
        mask = None
        if cache is not None:
            key, value = cache.extend(place, key, value)
            new, seen = query.shape[-2], key.shape[-2]
            if new < seen:  # token i of the new ones sees all that were there, and the new ones up to itself
                mask = torch.ones(new, seen, dtype=torch.bool, device=x.device).tril(seen - new)
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=self.causal and mask is None, scale=self.scale
        )
        return self.projection(mixed.transpose(-2, -3).flatten(-2))

    def mlp(self, x: Tensor) -> Tensor:
        x = self.expand(x)
        if self.activation == "swiglu":
            gate, x = x.chunk(2, -1)
            return self.contract(F.silu(gate) * x)
        return self.contract(ACTIVATIONS[self.activation](x))

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, cache: Cache | None = None, place: int = 0) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), cosine, sine, cache, place))
        return x + self.dropout(self.mlp(self.norm2(x)))


class Decoder(nn.Module):
    """x [B, T] token indices -> features [B, T, width]

    context   the most tokens that it reads
    """

    cosine: Tensor
    sine: Tensor

    def __init__(
        self,
        num_tokens: int,
        context: int,
        width: int,
        head_size: int,
        blocks: Sequence[Block],
        rotary_base: float,
        dropout: float,
        checkpoint_activations: bool,
        output_multiplier: float,
        embedding_multiplier: float = 1.0,
        embedding_norm: bool = False,
    ):
        super().__init__()
        self.context, self.output_multiplier = context, output_multiplier
        self.embedding_multiplier = embedding_multiplier
        self.embedding_norm = nn.RMSNorm(width, eps=1e-6) if embedding_norm else None
        self.checkpoint_activations = checkpoint_activations
        self.embedding = nn.Embedding(num_tokens, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(width, eps=1e-6)
        cosine, sine = rotary(context, head_size, rotary_base)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def cache(self) -> Cache:
        """An empty one, for generation: ``forward(x, cache)`` reads x behind what the cache has."""
        return Cache(len(self.blocks), self.context)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        x = x.long()
        start = cache.length if cache is not None else 0
        stop = start + x.shape[-1]
        if stop > self.context:
            raise ValueError(f"{stop} tokens; this model reads at most {self.context}.")
        cosine, sine = self.cosine[start:stop], self.sine[start:stop]
        h = self.embedding(x)
        if self.embedding_norm is not None:
            h = self.embedding_norm(h)
        h = self.dropout(h if self.embedding_multiplier == 1.0 else h * self.embedding_multiplier)
        for place, block in enumerate(self.blocks):
            if self.checkpoint_activations and torch.is_grad_enabled():
                h = checkpoint(block, h, cosine, sine, use_reentrant=False)  # type: ignore[assignment]
            else:
                h = block(h, cosine, sine, cache, place)
        if cache is not None:
            cache.length = stop
        h = self.norm(h)
        return h if self.output_multiplier == 1.0 else h * self.output_multiplier


def check_heads(width: int, heads: int) -> None:
    if width % (2 * heads):
        raise UsageError(
            f"model.heads={heads} does not divide model.width={width} into heads of an even size. "
            "Give a model.heads such as 1, and an even width."
        )


def initialise(body: nn.Module, head: nn.Linear, *, depth: int, tied: bool, growth: float = 1.0) -> None:
    """The weights as ``gpt`` says; a tied head becomes the embedding's weight.

    growth   of the width over the one at which the learning rate was tuned: what muP multiplies hidden weights with
    """
    for name, parameter in body.named_parameters():
        if name.endswith(("projection.weight", "contract.weight")):
            nn.init.normal_(parameter, std=growth / math.sqrt(parameter.shape[1] * 2 * depth))
        elif parameter.ndim == 2 and not name.startswith("embedding"):
            nn.init.normal_(parameter, std=growth / math.sqrt(parameter.shape[1]))
    embedding = body.embedding
    assert isinstance(embedding, nn.Embedding)
    nn.init.normal_(head.weight, std=0.02 if tied else 0.1 / math.sqrt(head.in_features / growth))
    if tied:
        embedding.weight = head.weight
    else:
        nn.init.normal_(embedding.weight)


def gpt(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    depth: Annotated[int, Ge(1)] = 4,
    width: Annotated[int, Ge(2)] = 128,
    heads: Annotated[int, Ge(1)] = 4,
    mlp_ratio: Annotated[float, Ge(0.1)] = 4.0,
    activation: Activation = "gelu",
    qk_norm: bool = True,
    tied: bool = False,
    rotary_base: Annotated[float, Gt(1)] = 10000.0,
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    checkpoint_activations: bool = False,
    mup_base_width: Annotated[int, Ge(1)] | None = None,
    start: Start = "fan_in",
    embedding: Embedding = "unit",
) -> Model:
    """input_shape is (T,): blocks of T tokens; num_outputs is the size of the vocabulary.

    Weights start normal with deviation 1 / sqrt(inputs), those that write to the residual stream smaller by
    sqrt(2 depth), the head by 10; the embedding with deviation 1. Embedding and head that are tied: 0.02, as in GPT-2.

    depth, width, heads     blocks; units of a token; heads of each attention, which must divide width into even sizes
    mlp_ratio               hidden units of the MLP per unit of width, rounded
    activation              of the MLP; swiglu has a gate, and so half as many weights more
    qk_norm                 queries and keys of every head are normalised before they are rotated
    tied                    the head's weight is the embedding's
    rotary_base             the slowest angle turns once in 2 pi rotary_base tokens
    dropout                 probability, after the embedding, the attention and the MLP
    checkpoint_activations  a block's activations are computed again for its gradient: less memory, a third more time
    mup_base_width          the width at which learning rates were tuned: they then hold for this width; null: plain
    start                   fan_in: hidden weights as above; small: of deviation sqrt(2 / (5 width)), whatever their
                            inputs, those that write to the residual stream smaller by sqrt(2 depth)
    embedding               unit: starts with deviation 1; small: with sqrt(2 / (5 width)); scaled: so, and then times
                            sqrt(width); normalized: so, and then through a norm. All but unit need tied=false
    """
    if len(input_shape) != 1:
        raise UsageError(
            f"model=gpt reads tokens [T], and the inputs of this data set have the shape {list(input_shape)}. "
            "Choose a data set of tokens, such as dataset=shakespeare, or another model."
        )
    check_heads(width, heads)
    if (embedding != "unit" and tied) or (start == "small" and mup_base_width is not None):
        raise UsageError(
            "model.embedding is how an embedding of its own starts, and model.start=small knows no muP. Choose "
            "model.tied=false and model.mup_base_width=null, or model.embedding=unit and model.start=fan_in."
        )
    growth = 1.0 if mup_base_width is None else width / mup_base_width
    head_size, hidden = width // heads, max(round(mlp_ratio * width), 1)
    # muP: attention by 1 / head size, hidden weights by 1 / growth with a start as much larger, the head by 1 / growth.
    scale = None if mup_base_width is None else math.sqrt(32) / head_size
    blocks = [Block(width, heads, hidden, activation, qk_norm, dropout, 1 / growth, scale) for _ in range(depth)]
    body = Decoder(
        num_outputs,
        input_shape[0],
        width,
        head_size,
        blocks,
        rotary_base,
        dropout,
        checkpoint_activations,
        1 / growth,
        math.sqrt(width) if embedding == "scaled" else 1.0,
        embedding == "normalized",
    )
    head = nn.Linear(width, num_outputs, bias=False)
    initialise(body, head, depth=depth, tied=tied, growth=growth)
    small = math.sqrt(2 / (5 * width))
    if start == "small":
        for name, parameter in ((n, p) for n, p in body.blocks.named_parameters() if p.ndim == 2):
            writes = name.endswith(("projection.weight", "contract.weight"))
            nn.init.normal_(parameter, std=small / math.sqrt(2 * depth) if writes else small)
    if embedding != "unit":
        nn.init.normal_(body.embedding.weight, std=small)
    return Model(body, head, num_features=width)
