"""Expanded vision transformer: all blocks of a vision transformer from the weights of two (TLEG's learngene).

    weights of block l = base + l / depth slope        l = 0 ... depth - 1

Both are a block each. Once trained they make the blocks of a transformer of any depth: ``with_depth``, for
task=learngene.

Paper     Xia et al. 2023, arXiv:2312.05614
Differs   sizes far below the paper's; as in the authors' code the slopes of the norms begin at 0, and those of the
          other weights as weights do
"""

import copy
from collections.abc import Sequence
from typing import Annotated, cast

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.func import functional_call

from lossbench.models.model import Model
from lossbench.models.vit import Pool, vit


class Expanded(nn.Module):
    """x [B, T, width] through ``depth`` blocks made of two."""

    def __init__(self, base: nn.Module, slope: nn.Module, depth: int):
        super().__init__()
        self.base, self.slope, self.depth = base, slope, depth

    def weights(self, share: float) -> dict[str, Tensor]:
        """Of the block at this share of the depth, 0 for the first."""
        slopes = dict(self.slope.named_parameters())
        return {name: base + share * slopes[name] for name, base in self.base.named_parameters()}

    def forward(self, x: Tensor) -> Tensor:
        for place in range(self.depth):
            x = functional_call(self.base, self.weights(place / self.depth), (x,))
        return x


def expanded_vit(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    patch_size: Annotated[int, Ge(1)] = 4,
    width: Annotated[int, Ge(1)] = 128,
    depth: Annotated[int, Ge(1)] = 4,
    heads: Annotated[int, Ge(1)] = 4,
    mlp_ratio: Annotated[float, Ge(0.1)] = 4.0,
    pool: Pool = "class_token",
) -> Model:
    """As model=vit without dropout, with as many weights as one of depth 2, whatever the depth.

    patch_size, width, depth, heads, mlp_ratio, pool   as in model=vit
    """
    model = vit(
        input_shape=input_shape,
        num_outputs=num_outputs,
        patch_size=patch_size,
        width=width,
        depth=2,
        heads=heads,
        mlp_ratio=mlp_ratio,
        pool=pool,
    )
    base, slope = cast(nn.Sequential, model.body.blocks)
    for module in slope.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.zeros_(module.weight)
    model.body.blocks = Expanded(base, slope, depth)
    return model


def with_depth(model: nn.Module, depth: int) -> nn.Module:
    """A copy of a vision transformer with so many blocks of its own: of an expanded one as the formula has them, of an
    ordinary one those that lie nearest before, at the same share of the depth."""
    made = copy.deepcopy(model)
    body = cast(nn.Module, made.body)
    old = body.blocks
    blocks = []
    for place in range(depth):
        if isinstance(old, Expanded):
            block = copy.deepcopy(old.base)
            with torch.no_grad():
                weights = old.weights(place / depth)
                for name, parameter in block.named_parameters():
                    parameter.copy_(weights[name])
        else:
            ordinary = cast(nn.Sequential, old)
            block = copy.deepcopy(ordinary[place * len(ordinary) // depth])
        blocks.append(block)
    body.blocks = nn.Sequential(*blocks)
    return made
