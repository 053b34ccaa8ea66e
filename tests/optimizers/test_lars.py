import numpy as np
import pytest
import torch

from lossbench.optimizers.lars import LARS
from tests.optimizers.support import check_against, network, train, weights


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_oracle(decay):  # the equations, over 50 steps with a falling learning rate, which is within the velocity
    memory: dict = {}

    def update(theta, g, loss, step):
        for i, (w, d) in enumerate(zip(theta, g, strict=True)):
            factor = 1.0
            if w.ndim == 2:
                size = np.sqrt((w**2).sum())
                factor = 0.02 * size / (np.sqrt((d**2).sum()) + decay * size)
            velocity = 0.8 * (memory[i] if step > 1 else 0.0) + 3.0 * factor * (d + decay * w)
            memory[i] = velocity
            w -= velocity

    check_against(lambda params: LARS(params, lr=3.0, momentum=0.8, weight_decay=decay, trust=0.02), update)


def test_the_rate_is_within_the_velocity():  # g = 1 at lr 1, then lr 0.1: v = 1, then 0.5 + 0.1
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = LARS([p], lr=1.0, momentum=0.5, weight_decay=0.0)
    for rate, expected in ((1.0, -1.0), (0.1, -1.6)):
        optimizer.param_groups[0]["lr"] = rate
        p.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
        assert p.item() == pytest.approx(expected)


def test_vectors_have_no_factor():
    torch.manual_seed(0)
    p, q = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    q.data.copy_(p.data)
    ours, theirs = LARS([p], lr=0.1, weight_decay=0.3), torch.optim.SGD([q], lr=0.1, momentum=0.9, weight_decay=0.3)
    for _ in range(20):
        for parameter, optimizer in ((p, ours), (q, theirs)):
            parameter.grad = parameter.detach() ** 3
            optimizer.step()
    torch.testing.assert_close(p.data, q.data)


def test_scale_of_the_gradient_does_not_matter():
    one, two = network(), network()
    groups = [[p for p in model.parameters() if p.ndim == 2] for model in (one, two)]
    optimizers = [LARS(params, weight_decay=0.0) for params in groups]
    for step in range(10):
        for params, optimizer, scale in zip(groups, optimizers, (1.0, 1e4), strict=True):
            for p in params:
                p.grad = scale * torch.sin(p.detach() * (step + 1))
            optimizer.step()
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-9, atol=1e-11)


def test_zeros_can_move():
    w = torch.zeros(2, 2, requires_grad=True)
    w.grad = torch.ones(2, 2)
    LARS([w], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(w.data, torch.full((2, 2), -0.1))


def test_gradient_of_0():  # without decay 0 / 0; with it the formula: trust |w| / (decay |w|) decay w
    for decay, expected in ((0.0, 1.0), (0.5, 1.0 - 1e-3)):
        w = torch.ones(2, 2, requires_grad=True)
        w.grad = torch.zeros(2, 2)
        LARS([w], lr=1.0, weight_decay=decay).step()
        torch.testing.assert_close(w.data, torch.full((2, 2), expected))


def test_trains_in_place():
    model = network()
    assert train(model, LARS(model.parameters()), range(2))
