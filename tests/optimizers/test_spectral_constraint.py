from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from lossbench.optimizers.groups import parameter_groups
from lossbench.optimizers.muon import Muon
from lossbench.optimizers.spectral_constraint import SpectralConstraint, constrain, soft_cap_strength
from tests.optimizers.support import check_against, check_resume, network, train, weights


def root(k, w):
    """The smallest non-negative real root of the paper's polynomial."""
    roots = np.roots([-(k**9), 3 * k**7, -3 * k**5, 0, k - w])
    return min(r.real for r in roots if abs(r.imag) < 1e-9 and r.real >= -1e-12)


def mapped(s, constraint, bound):
    k = s[0]
    if constraint == "hard_cap":
        return np.minimum(s, bound)
    if constraint == "soft_cap":
        while k > bound * (1 + 1e-6):
            a = root(k, bound)
            y = s - a * s**3
            s = y + a * y**3
            k = s.max()
        return s
    if constraint == "normalize":
        return s / max(1, k / bound)
    return np.concatenate([[bound if constraint == "hammer" else 0.9 * k], s[1:]])


CONSTRAINTS = ["hard_cap", "soft_cap", "normalize", "hammer", "weight_decay"]


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_oracle(constraint):  # numpy's decomposition after each of 50 steps of gradient descent
    def update(theta, g, loss, step):
        for w, d in zip(theta, g, strict=True):
            w -= 0.1 * d
            if w.ndim == 2:
                u, s, v = np.linalg.svd(w, full_matrices=False)
                c = np.sqrt(w.shape[0] / w.shape[1])
                w[...] = u @ np.diag(mapped(s / c, constraint, 0.6) * c) @ v

    def build(params):
        return SpectralConstraint(params, SGD, lr=0.1, weight_decay=0.0, constraint=constraint, bound=0.6)

    check_against(build, update, tolerance=1e-6)


@pytest.mark.parametrize("base", [SGD, AdamW, Muon])
@pytest.mark.parametrize("constraint", ["hard_cap", "soft_cap", "normalize"])
def test_bound_holds_after_every_step(base, constraint):
    model = network()
    optimizer = SpectralConstraint(model.parameters(), base, lr=0.3, constraint=constraint, bound=0.7)
    for step in range(30):
        train(model, optimizer, range(step, step + 1))
        for p in model.parameters():
            if p.ndim == 2:
                largest = np.linalg.norm(p.detach().numpy(), 2) * (p.shape[1] / p.shape[0]) ** 0.5
                assert largest <= 0.7 * (1 + 1e-5)


def test_soft_cap_strength():  # against the roots of the polynomial; 0 where nothing is to be done
    for k in (1.001, 1.05, 1.2, 2.0, 30.0):
        found = soft_cap_strength(torch.tensor(k, dtype=torch.float64), 1.0).item()
        assert found == pytest.approx(root(k, 1.0), rel=1e-6)
    assert soft_cap_strength(torch.tensor(0.6, dtype=torch.float64), 1.0).item() == 0.0


def test_soft_cap_of_a_far_start():  # s = 10, 4, 2, 0.1 with the bound 1: once would leave the second above it
    matrix = torch.diag(torch.tensor([10.0, 4.0, 2.0, 0.1], dtype=torch.float64))
    constrain(matrix, "soft_cap", 1.0, 0.1)
    assert torch.linalg.matrix_norm(matrix, 2) <= 1 + 1e-6


def test_hand():  # diag(3, 1) with the bound 2
    for constraint, expected in (
        ("hard_cap", (2.0, 1.0)), ("normalize", (2.0, 2 / 3)), ("hammer", (2.0, 1.0)), ("weight_decay", (2.25, 1.0))
    ):  # fmt: skip
        matrix = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
        constrain(matrix, constraint, 2.0, 0.25)
        torch.testing.assert_close(matrix, torch.diag(torch.tensor(expected, dtype=torch.float64)))
    matrix = torch.diag(torch.tensor([0.5, 0.2], dtype=torch.float64))
    constrain(matrix, "hammer", 2.0, 0.0)  # the hammer makes it larger as well
    torch.testing.assert_close(matrix, torch.diag(torch.tensor([2.0, 0.2], dtype=torch.float64)))


def test_scale_of_shapes():  # 8 outputs of 2 inputs: a root mean square of 1 in gives one of up to s = 1 out
    matrix = torch.zeros(8, 2, dtype=torch.float64)
    matrix[:2] = 5 * torch.eye(2)
    constrain(matrix, "hard_cap", 1.0, 0.0)
    x = torch.tensor([2.0**0.5, 0.0], dtype=torch.float64)
    assert (matrix @ x).square().mean().sqrt().item() == pytest.approx(1.0)


def test_which_parameters():
    model = nn.Module()
    model.body = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.Conv1d(4, 4, 3))
    model.head = nn.Linear(4, 3)
    for p in model.parameters():
        p.data.fill_(3.0)
    optimizer = SpectralConstraint(parameter_groups(model, weight_decay=0.1), SGD, lr=0.0, weight_decay=0.1)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(model.body[0].weight.data, torch.ones(5, 4))  # rows of root mean square 3, to 1
    assert torch.linalg.matrix_norm(model.body[1].weight.data, 2) <= 1 + 1e-5
    assert torch.linalg.matrix_norm(model.head.weight.data, 2) <= (3 / 4) ** 0.5 * (1 + 1e-5)
    assert (model.body[2].weight.data == 3).all() and (model.head.bias.data == 3).all()


def test_no_bound_is_the_base():
    ours, theirs = network(), network()
    train(ours, SpectralConstraint(ours.parameters(), AdamW, lr=0.02, bound=1e6), range(30))
    train(theirs, AdamW(theirs.parameters(), lr=0.02), range(30))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-9, atol=1e-11)


def test_schedule_reaches_the_base():
    model = network()
    before = weights(model)
    optimizer = SpectralConstraint(model.parameters(), Muon, lr=0.1, bound=100.0)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train(model, optimizer, range(3))
    torch.testing.assert_close(weights(model), before, rtol=1e-12, atol=1e-12)


def test_resume(tmp_path):
    base = partial(Muon, momentum=0.9)
    check_resume(lambda params: SpectralConstraint(params, base, lr=0.01), tmp_path / "checkpoint.pt")
