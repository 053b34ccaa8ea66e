"""Small vision transformer: patches as tokens, blocks with the norm before attention and MLP, learned positions.

Paper     Dosovitskiy et al. 2021, arXiv:2010.11929, eq. 1 to 4
Differs   sizes far below the paper's; pool=mean is the mean over the patches, as in Zhai et al. 2022, arXiv:2106.04560
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.model import Model, image_shape

Pool = Literal["class_token", "mean"]


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); x is [B, T, width]."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def attention(self, x: Tensor) -> Tensor:
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).transpose(-2, -4).unbind(-3)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.projection(mixed.transpose(-2, -3).flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.contract(self.dropout(F.gelu(self.expand(self.norm2(x))))))


class VisionTransformerBody(nn.Module):
    """x [B, channels, height, width] -> features [B, width]"""

    def __init__(
        self,
        channels: int,
        patches: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float,
        pool: Pool,
    ):
        super().__init__()
        self.patch_embedding = nn.Conv2d(channels, width, patch_size, patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if pool == "class_token" else None
        tokens = patches + (self.class_token is not None)
        self.position_embedding = nn.Parameter(torch.empty(1, tokens, width))
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.blocks = nn.Sequential(*(Block(width, heads, hidden, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        fan_in = self.patch_embedding.weight[0].numel()
        nn.init.trunc_normal_(self.patch_embedding.weight, std=math.sqrt(1 / fan_in))
        if self.patch_embedding.bias is not None:
            nn.init.zeros_(self.patch_embedding.bias)
        nn.init.trunc_normal_(self.position_embedding, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embedding(x).flatten(-2).transpose(-1, -2)
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], 1)
        tokens = self.norm(self.blocks(self.dropout(tokens + self.position_embedding)))
        return tokens[:, 0] if self.class_token is not None else tokens.mean(1)


def vit(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    patch_size: Annotated[int, Ge(1)] = 4,
    width: Annotated[int, Ge(1)] = 128,
    depth: Annotated[int, Ge(1)] = 4,
    heads: Annotated[int, Ge(1)] = 4,
    mlp_ratio: Annotated[float, Ge(0.1)] = 4.0,
    pool: Pool = "class_token",
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> Model:
    """Weights start truncated normal (standard deviation 0.02; the patch embedding 1 / sqrt(fan in)), biases 0.

    patch_size   side of a patch in pixels; must divide height and width of the images
    width        of the tokens; heads must divide it
    depth        blocks
    heads        of each attention
    mlp_ratio    hidden units of the MLP per unit of width, rounded
    pool         the features are the class token, or the mean of the patches
    dropout      probability, after the embedding, the attention and both layers of the MLP
    """
    channels, height, across = image_shape(input_shape, "vit")
    if height % patch_size or across % patch_size:
        common = math.gcd(height, across)
        sizes = [str(size) for size in range(1, common + 1) if common % size == 0]
        raise UsageError(
            f"model.patch_size={patch_size} does not divide the image size {height}x{across}. "
            f"Give one of: {', '.join(sizes)}."
        )
    if width % heads:
        raise UsageError(
            f"model.heads={heads} does not divide model.width={width}. Give a model.heads that divides it, such as 1."
        )
    patches = (height // patch_size) * (across // patch_size)
    hidden = max(round(mlp_ratio * width), 1)
    body = VisionTransformerBody(channels, patches, patch_size, width, depth, heads, hidden, dropout, pool)
    head = nn.Linear(width, num_outputs)
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return Model(body, head, num_features=width)
