"""Legendre link (LegendreTron): C - 1 scores through the gradients of learned convex functions, the last class as 0.

    z = g_blocks(... g_1(x))        logits = [z, 0]        g(x) = grad F(x)
    F(x) = softplus(w1) network(x) + softplus(w0) |x|^2 / 2

x are C - 1 linear scores of the features; the network is convex in them, so that g is monotone and [z, 0] the inverse
of a canonical link: with cross-entropy, the classifier and its proper loss are learned together. w1 -> -infinity and
softplus(w0) = 1 is multinomial logistic regression.

hidden    units of each hidden layer of the convex network, even; half of them are functions of x alone
depth     hidden layers, >= 1
blocks    how many g follow each other, >= 1
Numerics  the gradient is written out, so that nothing is differentiated within the forward pass
Paper     Lam et al. 2023, arXiv:2301.11695; hidden = 4, depth = 4 and one or two blocks are the authors' settings for
          images. Their decay 0.5 weight |parameters|^2 is the optimizer's (optimizer=adam, optimizer.weight_decay)
Differs   the normalisations before the activations (learned shift and scale) start as the identity; in the authors'
          code the first batch sets them to mean 0 and deviation 1. float32, where the authors use float64
"""

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge, MultipleOf
from torch import Tensor, nn

SMALLEST_SCALE = 1e-3  # of the learned normalisations, the authors'


def legendre_link(
    *,
    num_features: int,
    num_outputs: int,
    hidden: Annotated[int, Ge(2), MultipleOf(2)] = 4,
    depth: Annotated[int, Ge(1)] = 4,
    blocks: Annotated[int, Ge(1)] = 1,
) -> nn.Module:
    return LegendreLink(num_features, num_outputs, hidden, depth, blocks)


class LegendreLink(nn.Module):
    """features [*, D] -> logits [*, C], the last of them 0"""

    def __init__(self, num_features: int, num_outputs: int, hidden: int, depth: int, blocks: int):
        super().__init__()
        self.scores = nn.Linear(num_features, num_outputs - 1)
        self.blocks = nn.ModuleList(Block(num_outputs - 1, hidden, depth) for _ in range(blocks))

    def forward(self, features: Tensor) -> Tensor:
        z = self.scores(features)
        for block in self.blocks:
            z = block(z)
        return F.pad(z, (0, 1))


class Block(nn.Module):
    """g: the gradient of a strictly convex potential [*, K] -> [*, K]."""

    def __init__(self, size: int, hidden: int, depth: int):
        super().__init__()
        self.slope = ConvexSlope(size, hidden, depth)
        self.w0 = nn.Parameter(torch.randn(()))
        self.w1 = nn.Parameter(torch.randn(()))

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(self.w1) * self.slope(x) + F.softplus(self.w0) * x


class ConvexSlope(nn.Module):
    """The gradient [*, K] -> [*, K] of a network that is convex in x, because what follows an activation has weights
    >= 0; each layer sees x anew:

        z_1 = softplus(first(x))        a_l = norm_l(inner_l(z_l) + skip_l(x))
        z_(l+1) = [softplus(a_l), softplus(own_l(x))]        network(x) = scale (last(z_depth) + last_skip(x))
    """

    def __init__(self, size: int, hidden: int, depth: int):
        super().__init__()
        half = hidden // 2
        self.first = nn.Linear(size, hidden)
        self.inner = nn.ModuleList(PositiveLinear(hidden, half) for _ in range(depth - 1))
        self.skips = nn.ModuleList(nn.Linear(size, half) for _ in range(depth - 1))
        self.own = nn.ModuleList(nn.Linear(size, half) for _ in range(depth - 1))
        self.norms = nn.ModuleList(Affine(half) for _ in range(depth - 1))
        self.last = PositiveLinear(hidden, 1, bias=False)
        self.last_skip = nn.Linear(size, 1, bias=False)
        self.last_log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        layers: list[Any] = list(zip(self.inner, self.skips, self.own, self.norms, strict=True))
        z = F.softplus(first)
        before = []  # the activations, of each layer
        for inner, skip, own, norm in layers:
            a, o = norm(inner(z) + skip(x)), own(x)
            before.append((a, o))
            z = torch.cat([F.softplus(a), F.softplus(o)], -1)
        # And back: dz and dx are the derivatives of the network in z and, so far, in x. softplus' is the sigmoid.
        dz, dx = self.last.factors()[0].expand_as(z), self.last_skip.weight[0].expand_as(x)
        for (a, o), (inner, skip, own, norm) in zip(reversed(before), reversed(layers), strict=True):
            of_a, of_o = dz.chunk(2, -1)
            da, do = of_a * a.sigmoid() * norm.scale(), of_o * o.sigmoid()
            dz, dx = da @ inner.factors(), dx + da @ skip.weight + do @ own.weight
        return (dx + (dz * first.sigmoid()) @ self.first.weight) * (self.last_log_scale.exp() + SMALLEST_SCALE)


class PositiveLinear(nn.Linear):
    """Weights softplus(weight) > 0, the whole divided by the number of inputs."""

    def factors(self) -> Tensor:
        return F.softplus(self.weight) / self.in_features

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias / self.in_features
        return F.linear(x, self.factors(), bias)


class Affine(nn.Module):
    """(x + shift) scale, scale > 0: keeps convexity."""

    def __init__(self, size: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.zeros(size))

    def scale(self) -> Tensor:
        return self.log_scale.exp() + SMALLEST_SCALE

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.shift) * self.scale()
