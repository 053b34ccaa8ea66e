"""Learned pooling of 2x2 windows: blends of maximum and mean, and a small tree of learned filters.

Each module maps [B, C, H, W] to [B, C, ceil(H / 2), ceil(W / 2)]. The parameters of a layer are shared by its channels
and regions; a window has N = 4 values x, and one at an odd edge repeats its last row or column, which changes neither
its maximum nor its mean.

    mixed   a max(x) + (1 - a) mean(x)                  a = sigmoid(logit), one number
    gated   a(x) max(x) + (1 - a(x)) mean(x)            a(x) = sigmoid(<gate, x>)
    tree    a leaf is <filter, x>; a node is a(x) left + (1 - a(x)) right, with a gate of its own

Paper     Lee, Gallagher and Tu 2015, arXiv:1509.08985
Differs   the paper learns a of mixed pooling itself, here it stays within [0, 1]; its variants with parameters for each
          channel or region are left out. All start half way between the two sides; the filters of a tree start at the
          mean's, 1 / N, with noise of a tenth of that, because two equal leaves would stay equal
"""

import torch
from torch import Tensor, nn

WINDOW = 4  # values, 2 x 2


def windows(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, h, w, 4]"""
    if x.shape[-2] % 2:
        x = torch.cat([x, x[..., -1:, :]], -2)
    if x.shape[-1] % 2:
        x = torch.cat([x, x[..., -1:]], -1)
    return x.unflatten(-2, (-1, 2)).unflatten(-1, (-1, 2)).transpose(-3, -2).flatten(-2)


class MixedPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        values = windows(x)
        return torch.lerp(values.mean(-1), values.amax(-1), self.logit.sigmoid())


class GatedPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(WINDOW))

    def forward(self, x: Tensor) -> Tensor:
        values = windows(x)
        return torch.lerp(values.mean(-1), values.amax(-1), (values @ self.gate).sigmoid())


class TreePooling(nn.Module):
    """levels   2 is one gate and two leaves, 3 is three gates and four leaves"""

    def __init__(self, levels: int = 2) -> None:
        super().__init__()
        leaves = 2 ** (levels - 1)
        self.filters = nn.Parameter(torch.full((leaves, WINDOW), 1 / WINDOW))
        self.gates = nn.Parameter(torch.zeros(leaves - 1, WINDOW))  # the root first, then level by level

    @torch.no_grad()
    def draw(self) -> None:
        """Tell the leaves apart. Not in the constructor: the other layers draw the same with every pooling."""
        self.filters.add_(torch.randn_like(self.filters) / (10 * WINDOW))

    def forward(self, x: Tensor) -> Tensor:
        values = windows(x)
        nodes = values @ self.filters.T
        gates = (values @ self.gates.T).sigmoid()
        while nodes.shape[-1] > 1:
            parents = nodes.shape[-1] // 2
            own = gates[..., parents - 1 : 2 * parents - 1]
            nodes = torch.lerp(nodes[..., 1::2], nodes[..., ::2], own)
        return nodes.squeeze(-1)
