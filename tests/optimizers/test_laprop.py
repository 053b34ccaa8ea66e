import numpy as np
import pytest
import torch

from lossbench.optimizers.laprop import LaProp
from tests.optimizers.support import check_against, network, train, weights


@pytest.mark.parametrize("mu, nu", [(0.9, 0.999), (0.99, 0.5), (0.0, 0.9), (0.9, 0.0)])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_oracle(mu, nu, decay):  # the equations of the paper, over 50 steps
    memory: dict = {}

    def update(theta, g, loss, step):
        for i, t in enumerate(theta):
            n, m = memory.get(i, (0.0, 0.0)) if step > 1 else (0.0, 0.0)
            n = nu * n + (1 - nu) * g[i] ** 2
            m = mu * m + (1 - mu) * g[i] / (np.sqrt(n / (1 - nu**step)) + 1e-15)
            memory[i] = n, m
            t -= 0.01 * (m / (1 - mu**step) + decay * t)

    check_against(lambda params: LaProp(params, lr=0.01, betas=(mu, nu), weight_decay=decay), update, tolerance=1e-9)


def test_without_momentum_it_is_adam_without_momentum():
    ours, theirs = network(), network()
    train(ours, LaProp(ours.parameters(), lr=0.01, betas=(0.0, 0.9), eps=1e-8), range(50))
    train(theirs, torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.0, 0.9), eps=1e-8), range(50))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-10, atol=1e-12)
    other = network()
    train(other, torch.optim.Adam(other.parameters(), lr=0.01, betas=(0.9, 0.9), eps=1e-8), range(50))
    assert (weights(ours) - weights(other)).abs().max() > 1e-2


def test_hand():  # nu = 0: signs 1, then -1; m = 0.5, then 0.25 - 0.5 = -0.25, corrected by 1 - 0.25 = 0.75
    p = torch.tensor([1.0, 5.0], dtype=torch.float64, requires_grad=True)
    optimizer = LaProp([p], lr=0.3, betas=(0.5, 0.0))
    p.grad = torch.tensor([7.0, 0.0], dtype=torch.float64)  # a gradient of 0 moves nothing
    optimizer.step()
    torch.testing.assert_close(p.data, torch.tensor([0.7, 5.0], dtype=torch.float64))
    p.grad = torch.tensor([-0.2, 0.0], dtype=torch.float64)
    optimizer.step()
    torch.testing.assert_close(p.data, torch.tensor([0.7 + 0.3 * 0.25 / 0.75, 5.0], dtype=torch.float64))


def test_steps_are_bounded_where_adams_are_not():
    """|m| is at most 1 / sqrt(1 - nu) by its equation; a gradient of 1 and then of 0 makes Adam's v vanish before m."""
    moved = {}
    for make in (LaProp, torch.optim.Adam):
        p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = make([p], lr=1.0, betas=(0.99, 0.1), eps=1e-15)
        for step in range(20):
            p.grad = torch.full((1,), 1.0 if step == 0 else 1e-9, dtype=torch.float64)
            before = p.item()
            optimizer.step()
            moved[make.__name__] = max(moved.get(make.__name__, 0.0), abs(p.item() - before))
    assert moved["LaProp"] < 1.1 < 1e3 < moved["Adam"]
