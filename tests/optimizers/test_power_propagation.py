import numpy as np
import pytest
import torch

from lossbench.optimizers.power_propagation import PowerPropagation
from tests.optimizers.support import check_against, network, train, weights


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.0])
def test_oracle(exponent):  # over 50 steps
    def update(theta, g, loss, step):
        for w, d in zip(theta, g, strict=True):
            scale = exponent**2 * np.abs(w) ** (2 * (exponent - 1) / exponent) if w.ndim == 2 else 1.0
            w -= 0.05 * scale * (d + 0.1 * w)

    check_against(lambda params: PowerPropagation(params, lr=0.05, exponent=exponent, weight_decay=0.1), update)


def test_limit():  # exponent 1 is gradient descent
    ours, theirs = network(), network()
    train(ours, PowerPropagation(ours.parameters(), lr=0.1, exponent=1.0), range(30))
    train(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1), range(30))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("exponent", [1.5, 2.0, 4.0])
def test_is_the_reparametrisation_to_first_order(exponent):
    """Gradient descent on theta, w = theta |theta|^(a - 1), by autograd: the difference falls with lr^2."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    target = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    differences = []
    for rate in (1e-3, 1e-4):
        w = start.clone().requires_grad_()
        w.grad = w.detach() - target
        PowerPropagation([w], lr=rate, exponent=exponent).step()
        theta = (start.sign() * start.abs() ** (1 / exponent)).requires_grad_()
        loss = (theta * theta.abs() ** (exponent - 1) - target).square().sum() / 2
        (slope,) = torch.autograd.grad(loss, theta)
        theta = theta.detach() - rate * slope
        differences.append((w.data - theta * theta.abs() ** (exponent - 1)).abs().max().item())
        assert (w.data - start).abs().max() > rate
    assert differences[1] == pytest.approx(differences[0] / 100, rel=0.1)


def test_hand():  # w = 0.25 with the exponent 2: 4 |w| = 1; -2 with 4 * 2 = 8; 0 stays
    w = torch.tensor([[0.25, -2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    w.grad, b.grad = torch.ones(1, 3, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    PowerPropagation([w, b], lr=0.1).step()
    torch.testing.assert_close(w.data, torch.tensor([[0.15, -2.8, 0.0]], dtype=torch.float64))
    assert b.item() == pytest.approx(-0.1)
