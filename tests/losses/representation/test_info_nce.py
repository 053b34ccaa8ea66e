import math

import pytest
import torch
import torch.nn.functional as F

from lossbench.losses.representation.info_nce import info_nce, init_params
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # all alike: each of the B candidates is as likely; one example alone costs nothing
    u = torch.ones(6, 4, dtype=torch.float64)
    near(info_nce(u, 3 * u, {}), math.log(6))
    near(info_nce(*sample("embeddings", "second_embeddings", B=1), {}), [0.0])


def test_oracle():  # cross-entropy of the whole matrix of similarities, in both directions
    u, v = sample("embeddings", "second_embeddings")
    similarities = F.normalize(u) @ F.normalize(v).T / 0.2
    own = torch.arange(6)
    rows, columns = (F.cross_entropy(s, own, reduction="none") for s in (similarities, similarities.T))
    near(info_nce(u, v, {}, temperature=0.2, symmetric=False), rows)
    near(info_nce(u, v, {}, temperature=0.2), (rows + columns) / 2)


def test_hand():  # orthogonal pairs that agree: -2 + log(e^2 + 1)
    u = torch.eye(2, dtype=torch.float64)
    near(info_nce(u, 5 * u, {}, temperature=0.5), math.log(math.exp(2) + 1) - 2)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("tile", [1, 4, 6, 100])
def test_tiles(tile, symmetric):  # value and gradients of the whole matrix, that of the learned temperature too
    def run(tile: int | None) -> list[torch.Tensor]:
        tensors = sample("embeddings", "second_embeddings")
        params = {"log_scale": torch.tensor(2.0, dtype=torch.float64)}
        leaves = [t.requires_grad_() for t in (*tensors, params["log_scale"])]
        values = info_nce(*tensors, params, learn_temperature=True, symmetric=symmetric, tile=tile)
        weights = torch.arange(1.0, 7.0, dtype=torch.float64)
        return [values, *torch.autograd.grad((values * weights).sum(), leaves)]

    for tiled, plain in zip(run(tile), run(None), strict=True):
        near(tiled, plain, tolerance=1e-12)


def test_learned_temperature():  # it starts at the given one, and is trained
    tensors = sample("embeddings", "second_embeddings")
    params = init_params(temperature=0.3, learn_temperature=True)
    near(info_nce(*tensors, params, learn_temperature=True), info_nce(*tensors, {}, temperature=0.3), tolerance=1e-6)
    scale = params["log_scale"].double().requires_grad_()
    torch.autograd.gradcheck(lambda s: info_nce(*tensors, {"log_scale": s}, tile=4).sum(), (scale,))
    assert init_params(temperature=0.3, learn_temperature=False) == {}


@pytest.mark.parametrize("tile", [None, 2])
def test_extreme(tile):  # half-precision embeddings at temperature 0.01, similarities from -100 to 100
    u, v = sample("embeddings", "second_embeddings")
    u, v = (torch.cat([t, -t]).half().float() * 1e3 for t in (u, v))
    values, _ = extreme(info_nce, u, v, {}, temperature=0.01, symmetric=False, tile=tile)
    similarities = F.normalize(u.double()) @ F.normalize(v.double()).T / 0.01
    near(values[0], F.cross_entropy(similarities, torch.arange(12), reduction="none"), tolerance=1e-4)


@pytest.mark.parametrize("tile", [None, 4])
def test_stacked(tile):
    def tiled(embeddings, second_embeddings, params, *, temperature):
        return info_nce(embeddings, second_embeddings, params, temperature=temperature, tile=tile)

    stacked(tiled, given={"params": [{}, {}, {}]}, temperature=[0.1, 0.5, 1.0])
