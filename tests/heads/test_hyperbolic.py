import torch
from torch.func import functional_call

from lossbench.heads.hyperbolic import hyperbolic
from lossbench.hyperbolic import mobius_add


def make(curvature=0.1, **options):
    torch.manual_seed(0)
    return hyperbolic(num_features=6, num_outputs=2, curvature=curvature, size=3, widths=(5,), **options)


def test_outputs():  # two logits, and a point of the ball of radius 1 / sqrt(c)
    outputs = make()(100 * torch.randn(50, 6))
    assert outputs.shape == (50, 5)
    assert (outputs[:, 2:].norm(dim=-1) <= 0.1**-0.5 * torch.tanh(torch.tensor(0.1**0.5 * 2.0)) + 1e-5).all()  # clipped


def test_logits():  # written out from the formula of the paper, for each class
    head, features, c = make().double(), torch.randn(8, 6, dtype=torch.float64), 0.1
    outputs = head(features)
    for i in range(8):
        for k in range(2):
            v, a = head.points[k], head.normals[k]
            p = torch.tanh(c**0.5 * v.norm()) * v / (c**0.5 * v.norm())
            z = mobius_add(-p, outputs[i, 2:], c)
            lam, length = 2 / (1 - c * p @ p), a.norm() * (1 - c * p @ p)  # the normal at p, as the authors scale it
            expected = lam * length / c**0.5 * torch.asinh(2 * c**0.5 * (z @ a) / ((1 - c * z @ z) * a.norm()))
            torch.testing.assert_close(outputs[i, k], expected)


def test_flat():  # curvature 0: the point is the clipped vector, the logits are linear in it
    head = make(0.0, clip=0.1)
    outputs = head(torch.randn(8, 6))
    vectors = head.perceptron(torch.randn(8, 6))
    assert (outputs[:, 2:].norm(dim=-1) <= 0.1 + 1e-6).all() and vectors.shape == (8, 3)
    expected = 4 * ((outputs[:, None, 2:] - head.points) * head.normals).sum(-1)
    torch.testing.assert_close(outputs[:, :2], expected)


def test_functional():
    head, features = make(), torch.randn(4, 6)
    stacks = {name: torch.stack([p, 2 * p]) for name, p in head.named_parameters()}
    found = torch.vmap(lambda own: functional_call(head, own, (features,)))(stacks)
    torch.testing.assert_close(found[0], head(features))
