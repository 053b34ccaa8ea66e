import numpy as np
import pytest
import torch

from lossbench.optimizers.entropy_sgd import EntropySGD
from tests.optimizers.support import check_against, gradients, network, train, weights


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_oracle(decay):  # algorithm 1 without noise, over 10 outer steps of 5
    memory: dict = {}

    def update(theta, g, loss, step):
        outer, inner = divmod(step - 1, 5)
        if inner == 0:
            memory.update(x=[t.copy() for t in theta], mu=[t.copy() for t in theta])
        scope = 0.4 * 1.1**outer
        for t, d, x, mu in zip(theta, g, memory["x"], memory["mu"], strict=True):
            t -= 0.2 * (d + decay * t - scope * (x - t))
            mu[...] = 0.25 * mu + 0.75 * t
            if inner == 4:
                t[...] = x - 0.9 * (x - mu)

    def build(params):
        inner = {"inner_steps": 5, "inner_lr": 0.2, "scope": 0.4, "scope_growth": 0.1, "noise": 0.0}
        return EntropySGD(params, lr=0.9, weight_decay=decay, **inner)

    check_against(build, update)


def test_limit():  # one inner step, no noise, no averaging: SGD with the rate lr * inner_lr
    ours, theirs = network(), network()
    train(ours, EntropySGD(ours.parameters(), lr=0.5, inner_steps=1, inner_lr=0.2, noise=0.0, averaging=1.0), range(50))
    train(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1), range(50))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-10, atol=1e-12)


def test_local_entropy_of_a_parabola():
    """On h x^2 / 2 the walk has the mean scope x / (h + scope), and scope (x - mean) is the gradient of the local
    entropy, h scope / (h + scope) x. Here with noise: 4000 steps after the first ones, averaged."""
    h, scope, start, noise = 2.0, 0.5, 3.0, 0.3
    x = torch.full((64,), start, dtype=torch.float64, requires_grad=True)
    optimizer = EntropySGD([x], inner_steps=10**9, inner_lr=0.05, scope=scope, noise=noise, averaging=1e-3)
    walk = []
    for step in range(4400):
        x.grad = h * x.detach()
        optimizer.step()
        if step >= 400:
            walk.append(x.detach().clone())
    where = torch.stack(walk)
    assert where.mean().item() == pytest.approx(scope * start / (h + scope), abs=0.01)
    # A step multiplies the distance from the mean by 1 - rate (h + scope) and adds rate noise^2 to its variance.
    rate = 0.05
    variance = rate * noise**2 / (1 - (1 - rate * (h + scope)) ** 2)
    assert where.var().item() == pytest.approx(variance, rel=0.05)


def test_noise_is_of_the_optimizers_own_stream():
    def run(seed, spoil=False):
        model = network(seed)
        optimizer = EntropySGD(model.parameters(), noise=0.1)
        before = torch.get_rng_state()
        train(model, optimizer, range(3))
        assert torch.equal(torch.get_rng_state(), before)
        return weights(model), optimizer

    (one, first), (two, second), (_, third) = run(0), run(0), run(1)
    assert torch.equal(one, two)
    states = [o.state_dict()["generator"] for o in (first, second, third)]
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    plain = network()
    train(plain, EntropySGD(plain.parameters(), noise=0.0), range(3))
    difference = one - weights(plain)
    assert difference.abs().max() > 0.01


def test_one_inner_step_costs_one_gradient():  # and the weights are where the walk is until the last of them
    model = network()
    optimizer = EntropySGD(model.parameters(), lr=0.0, inner_steps=4, noise=0.0)
    before = weights(model)
    g = torch.cat([d.flatten() for d in gradients(model, 0)])
    train(model, optimizer, range(1))
    torch.testing.assert_close(weights(model), before - 0.1 * g)
    train(model, optimizer, range(1, 4))
    assert torch.equal(weights(model), before)  # lr = 0 stays at the anchor
    assert np.isfinite(before.numpy()).all()
