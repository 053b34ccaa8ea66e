import math

import numpy
import torch
from scipy import optimize

from lossbench.hyperbolic import distance, exponential_map, mobius_add, plane_scores


def points(n=20, size=3, seed=0, radius=2.5):
    """Within the ball of curvature 0.1, whose radius is 3.16."""
    draw = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n, size, generator=draw, dtype=torch.float64), dim=-1)
    return radius * torch.rand(n, 1, generator=draw, dtype=torch.float64) * directions


def arcosh_distance(x, y, c):
    """The other closed form of the distance of the Poincare ball."""
    apart = ((x - y) ** 2).sum()
    return math.acosh(1 + 2 * c * apart / ((1 - c * (x**2).sum()) * (1 - c * (y**2).sum()))) / math.sqrt(c)


def test_distance():
    x, y = points(), points(seed=1)
    for c in (0.1, 0.01):
        expected = [arcosh_distance(a, b, c) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
        torch.testing.assert_close(distance(x, y, c), torch.tensor(expected, dtype=torch.float64))


def test_flat_limit():
    x, y = points(), points(seed=1)
    for c in (0.0, 1e-10):
        torch.testing.assert_close(distance(x, y, c), 2 * (x - y).norm(dim=-1), rtol=1e-6, atol=0)
        torch.testing.assert_close(mobius_add(x, y, c), x + y, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(exponential_map(x, c), x, rtol=1e-6, atol=0)
    a = points(4, seed=2)
    expected = 4 * ((x[:, None] - y[:4]) * a).sum(-1)
    torch.testing.assert_close(plane_scores(x, y[:4], a, 0.0), expected)
    torch.testing.assert_close(plane_scores(x, y[:4], a, 1e-10), expected, rtol=1e-6, atol=1e-8)


def test_exponential_map():  # the distance from 0 is twice the length of the vector, in its direction
    v, c = points(radius=4.0), 0.1
    found = exponential_map(v, c)
    expected = 2 * v.norm(dim=-1)
    torch.testing.assert_close(distance(torch.zeros_like(v), found, c), expected)
    torch.testing.assert_close(torch.nn.functional.cosine_similarity(v, found), torch.ones(20).double())


def test_mobius_add():  # an isometry: moving both points by the same third one keeps their distance
    x, y, z = points(radius=1.5), points(seed=1, radius=1.5), points(seed=2, radius=1.5)
    torch.testing.assert_close(distance(mobius_add(z, x, 0.1), mobius_add(z, y, 0.1), 0.1), distance(x, y, 0.1))
    torch.testing.assert_close(mobius_add(-x, x, 0.1), torch.zeros_like(x))


def test_plane_scores_are_distances_to_planes():  # the nearest point of the plane {u: <-p (+) u, a> = 0}, by a search
    c, a, p = 0.1, numpy.array([1.0, 2.0]), points(1, 2, seed=3, radius=1.0)
    for x in points(5, 2, seed=4, radius=2.0):

        def on_the_plane(t):  # p (+) (what is orthogonal to a)
            return mobius_add(p[0], torch.from_numpy(t[0] * numpy.array([-a[1], a[0]])), c)

        nearest = min(
            optimize.minimize(lambda t, x=x: arcosh_distance(on_the_plane(t).numpy(), x.numpy(), c), [start]).fun
            for start in (-0.5, 0.0, 0.5)
        )
        score = float(plane_scores(x[None], p, torch.from_numpy(a)[None], c))
        assert math.isclose(abs(score), 2 * math.sqrt(5) * nearest, rel_tol=1e-5)
        assert math.copysign(1, score) == math.copysign(1, float(mobius_add(-p[0], x, c) @ torch.from_numpy(a)))


def test_gradients():  # finite where points are equal, 0 or beyond the boundary in float32
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [9.0, 0.0]], requires_grad=True)
    for c in (0.0, 0.1):
        total = distance(x, x.detach(), c).sum() + exponential_map(x, c).sum() + distance(x, -x, c).sum()
        (gradient,) = torch.autograd.grad(total, x)
        assert gradient.isfinite().all() and total.isfinite()
    inside = points(6, radius=2.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: distance(v, points(6, seed=1), 0.1), inside)
    assert torch.autograd.gradcheck(lambda v: plane_scores(v, points(2, seed=1), points(2, seed=2), 0.1), inside)
