import math
from typing import get_args

import numpy
import pytest
import torch
from scipy.spatial import distance as scipy_distance
from torch.func import functional_call, stack_module_state, vmap

from lossbench.heads.harmonic import Distance, harmonic

DISTANCES = get_args(Distance)


def made(seed: int = 0, epsilon: float = 1e-9, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return harmonic(num_features=6, num_outputs=4, epsilon=epsilon, **options).double()


def features(seed: int = 0, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or (5,)), 6, dtype=torch.float64, generator=generator)


def by_scipy(name: str, head: torch.nn.Module, h: numpy.ndarray, w: numpy.ndarray) -> float:
    if name == "mahalanobis":
        triangle = head.triangle.detach().tril().numpy()
        return scipy_distance.mahalanobis(h, w, triangle @ triangle.T)
    if name == "minkowski":
        return scipy_distance.minkowski(h, w, 2.5)
    other = {"manhattan": "cityblock", "bray_curtis": "braycurtis"}
    return getattr(scipy_distance, other.get(name, name))(h, w)


@pytest.mark.parametrize("name", DISTANCES)
def test_oracle(name):  # the definition of p with the distances of scipy
    head = made(distance=name, order=2.5, exponent=3.0)
    if name == "mahalanobis":
        with torch.no_grad():
            head.triangle += features(1, 6)
    p = head(features()).softmax(-1)
    for row, h in zip(p, features(), strict=True):
        inverse = [by_scipy(name, head, h.numpy(), w.detach().numpy()) ** -3.0 for w in head.weight]
        expected = torch.tensor(inverse, dtype=torch.float64) / sum(inverse)
        torch.testing.assert_close(row, expected, rtol=1e-6, atol=1e-9)


def test_limit():  # order 1 is manhattan, 2 euclidean; mahalanobis starts as euclidean
    h = features()
    for name, options in (("manhattan", {"order": 1.0}), ("euclidean", {"order": 2.0})):
        expected = made(distance=name)(h)
        torch.testing.assert_close(made(distance="minkowski", **options)(h), expected)
    torch.testing.assert_close(made(distance="mahalanobis")(h), made(distance="euclidean")(h))


def test_hand():  # h = (3, 0), w = (0, 4) and (3, 1): distances 5 and 1, exponent 2: p = (1/25, 1) / (26/25)
    head = harmonic(num_features=2, num_outputs=2, distance="euclidean", exponent=2.0, epsilon=1e-12).double()
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0, 4.0], [3.0, 1.0]]))
    p = head(torch.tensor([3.0, 0.0]).double()).softmax(-1)
    torch.testing.assert_close(p, torch.tensor([1 / 26, 25 / 26]).double(), rtol=1e-6, atol=0)


def test_epsilon_bounds_the_logits():  # at a class's vector itself: -exponent log epsilon
    head = made(distance="cosine", exponent=2.0, epsilon=1e-3)
    logits = head(head.weight.detach())
    expected = torch.full((4,), -2 * math.log(1e-3)).double()
    torch.testing.assert_close(logits.diagonal(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", DISTANCES)
def test_scale(name):  # of features and vectors together changes nothing
    head, h = made(distance=name), features()
    before = head(h).softmax(-1)
    with torch.no_grad():
        head.weight *= 7
    torch.testing.assert_close(head(7 * h).softmax(-1), before, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", DISTANCES)
def test_stacked_and_any_leading_axes(name):
    heads, h = [made(seed, distance=name) for seed in range(3)], features(0, 3, 2, 5)
    stacked = vmap(lambda p, b, x: functional_call(heads[0], (p, b), (x,)))(*stack_module_state(heads), h)
    torch.testing.assert_close(stacked, torch.stack([head(x) for head, x in zip(heads, h, strict=True)]))


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("place", ["at a vector", "zero", "far"])
def test_finite(name, place):
    head = made(distance=name, epsilon=1e-4).float()
    h = {"at a vector": head.weight.detach()[:1].clone(), "zero": torch.zeros(1, 6), "far": torch.full((1, 6), 2e4)}
    x = h[place].requires_grad_()
    torch.nn.functional.cross_entropy(head(x), torch.tensor([1])).backward()
    assert all(t.grad.isfinite().all() for t in (x, *head.parameters()))
