import math

import torch

from lossbench.reweightings.doubly_robust import doubly_robust, init_state
from tests.losses.support import near, sample


def fresh():
    return {name: value.double() for name, value in init_state().items()}


def test_limit():
    losses = torch.tensor([1.0, 2.0, 6.0, 0.5], dtype=torch.float64)
    weights, _ = doubly_robust(losses, fresh(), temperature=1e12)  # the plain mean
    near(weights, [1.0] * 4)
    weights, _ = doubly_robust(losses, fresh(), temperature=0.01)  # the worst example alone
    near((weights * losses).mean(), 6.0)
    for _ in range(2):  # equal losses
        weights, _ = doubly_robust(torch.full((4,), 3.0), init_state(), temperature=0.5)
        near(weights, [1.0] * 4, 1e-6)


def test_oracle():  # the inner maximum over distributions, by scipy; its maximiser are the weights, over B
    from scipy.optimize import minimize

    (losses,) = sample("losses")
    for temperature in (0.5, 2.0):

        def negative(z, temperature=temperature):
            q = torch.tensor(z, dtype=torch.float64).softmax(0)
            return -float((q * losses).sum() - temperature * (q * (6 * q).log()).sum())

        best = minimize(negative, [0.0] * 6, tol=1e-12)
        q = torch.tensor(best.x).softmax(0)
        weights, _ = doubly_robust(losses, init_state(), temperature=temperature, update_rate=1.0)
        near(weights / 6, q, 1e-4)
        near(torch.tensor(-best.fun), temperature * (losses / temperature).exp().mean().log(), 1e-7)


def test_gradient():  # of the log-mean-exp, by autograd
    (losses,) = sample("losses")
    losses.requires_grad_()
    (expected,) = torch.autograd.grad(0.7 * (losses / 0.7).exp().mean().log(), losses)
    weights, _ = doubly_robust(losses.detach(), fresh(), temperature=0.7, update_rate=1.0)
    near(weights / 6, expected)


def test_average():  # three batches, the average in plain numbers: each batch's share falls by 1 - rate
    batches = [sample("losses", seed=seed)[0] for seed in range(3)]
    state = fresh()
    for number, losses in enumerate(batches, 1):
        weights, state = doubly_robust(losses, state, temperature=2.0, update_rate=0.25)
        means = [(batch / 2).exp().mean() for batch in batches[:number]]
        shares = [0.25 * 0.75 ** (number - 1 - i) for i in range(number)]
        u = sum(share * mean for share, mean in zip(shares, means, strict=True)) / sum(shares)
        near(weights, (losses / 2).exp() / u)


def test_hand():  # losses log 1 and log 3, temperature 1: u = 2, weights 1/2 and 3/2; then log 5 twice with rate 1/2:
    # u = (1/4 2 + 1/2 5) / (3/4) = 4
    losses = torch.tensor([0.0, math.log(3)])
    weights, state = doubly_robust(losses, init_state(), update_rate=0.5)
    near(weights, [0.5, 1.5], 1e-6)
    weights, state = doubly_robust(torch.full((2,), math.log(5)), state, update_rate=0.5)
    near(weights, [1.25, 1.25], 1e-6)


def test_large():  # losses of 2e4: no overflow, as they are all unusual; in float32 their logarithm is known to 0.002
    weights, state = doubly_robust(torch.tensor([2e4, 2e4, 0.0]), init_state())
    near(weights, [1.5, 1.5, 0.0], 2e-3)
    assert all(value.isfinite() for value in state.values())
