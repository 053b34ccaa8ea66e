import math

import pytest
import torch
import torch.nn.functional as F

from lossbench.losses.representation.nt_xent import nt_xent
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # views that are all alike: each of the others is as likely; and one example alone has no negative
    u = torch.ones(6, 4, dtype=torch.float64)
    near(nt_xent(u, 3 * u), math.log(11))
    near(nt_xent(*sample("embeddings", "second_embeddings", B=1)), [0.0])


def test_oracle():  # the definition, written out over the views
    u, v = sample("embeddings", "second_embeddings")
    views = [row / row.norm() for row in torch.cat([u, v])]
    losses = []
    for i, a in enumerate(views):
        others = [torch.exp(a @ c / 0.3) for k, c in enumerate(views) if k != i]
        losses.append(-torch.log(torch.exp(a @ views[(i + 6) % 12] / 0.3) / sum(others)))
    near(nt_xent(u, v, temperature=0.3), torch.stack(losses).reshape(2, 6).mean(0))


def test_hand():  # orthogonal examples whose views agree: -2 + log(e^2 + 1 + 1)
    u = torch.eye(2, dtype=torch.float64)
    near(nt_xent(u, 5 * u, temperature=0.5), math.log(math.exp(2) + 2) - 2)


@pytest.mark.parametrize("tile", [1, 3, 5, 12, 100])
def test_tiles(tile):  # value and gradients of the whole matrix, whatever the tile
    def run(tile: int | None) -> list[torch.Tensor]:
        tensors = [t.requires_grad_() for t in sample("embeddings", "second_embeddings")]
        values = nt_xent(*tensors, temperature=0.1, tile=tile)
        weights = torch.arange(1.0, 7.0, dtype=torch.float64)
        return [values, *torch.autograd.grad((values * weights).sum(), tensors)]

    for tiled, plain in zip(run(tile), run(None), strict=True):
        near(tiled, plain, tolerance=1e-12)


@pytest.mark.parametrize("tile", [None, 2])
def test_extreme(tile):  # half-precision embeddings at temperature 0.01, similarities from -100 to 100
    u, v = sample("embeddings", "second_embeddings")
    u, v = (torch.cat([t, -t]).half().float() * 1e3 for t in (u, v))
    values, gradients = extreme(nt_xent, u, v, temperature=0.01, tile=tile)
    views = F.normalize(torch.cat([u, v]).double())
    similarities = (views @ views.T / 0.01).fill_diagonal_(-math.inf)
    partner = torch.arange(24).roll(12)
    near(values[0], F.cross_entropy(similarities, partner, reduction="none").reshape(2, 12).mean(0), tolerance=1e-4)
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("tile", [None, 4])
def test_stacked(tile):
    def tiled(embeddings, second_embeddings, *, temperature):
        return nt_xent(embeddings, second_embeddings, temperature=temperature, tile=tile)

    stacked(tiled, temperature=[0.1, 0.5, 1.0])
