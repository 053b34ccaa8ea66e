import inspect
from functools import partial

import pytest
import torch
from torch.optim import SGD, AdamW

from lossbench.optimizers.sam import SAM
from tests.optimizers.support import check_resume, gradients, loss, network, train, weights

NESTEROV = partial(SGD, momentum=0.9, nesterov=True)


def worst_gradients(model, step, rho, adaptive):
    """The gradients at theta + e, from the equations, on a copy of the model."""
    g = gradients(model, step)
    theta = [p.detach() for p in model.parameters()]
    scale = [t.abs() if adaptive else torch.ones_like(t) for t in theta]
    norm = sum((s * d).square().sum() for s, d in zip(scale, g, strict=True)).sqrt()
    copy = network()
    for p, t, s, d in zip(copy.parameters(), theta, scale, g, strict=True):
        p.data = t + rho * s**2 * d / norm
    return gradients(copy, step)


@pytest.mark.parametrize("adaptive", [False, True])
def test_oracle(adaptive):  # equation 2 and Nesterov's momentum with weight decay, written out, over 50 steps
    ours, theirs = network(), network()
    optimizer = SAM(ours.parameters(), NESTEROV, lr=0.02, weight_decay=0.1, rho=0.3, adaptive=adaptive)
    losses = train(ours, optimizer, range(50))
    velocities = [torch.zeros_like(p) for p in theirs.parameters()]
    for step in range(50):
        assert losses[step] == pytest.approx(loss(theirs, step).item(), rel=1e-9)  # the loss at theta, not beside it
        for i, (p, g) in enumerate(zip(theirs.parameters(), worst_gradients(theirs, step, 0.3, adaptive), strict=True)):
            g = g + 0.1 * p.data
            velocities[i] = 0.9 * velocities[i] + g
            p.data = p.data - 0.02 * (g + 0.9 * velocities[i])
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-9, atol=1e-11)
    plain = network()
    train(plain, NESTEROV(plain.parameters(), lr=0.02, weight_decay=0.1), range(50))
    assert (weights(ours) - weights(plain)).abs().max() > 1e-2  # the radius matters on this problem


def test_other_base():  # AdamW's own step, given the gradients at the worst point
    ours, theirs = network(), network()
    train(ours, SAM(ours.parameters(), AdamW, lr=0.02, weight_decay=0.1, rho=0.3), range(50))
    reference = AdamW(theirs.parameters(), lr=0.02, weight_decay=0.1)
    for step in range(50):
        for p, g in zip(theirs.parameters(), worst_gradients(theirs, step, 0.3, False), strict=True):
            p.grad = g
        reference.step()
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-9, atol=1e-11)


def test_limit():  # a radius of 0 is the base optimizer, to the bit
    ours, theirs = network(), network()
    train(ours, SAM(ours.parameters(), NESTEROV, lr=0.02, rho=0.0), range(30))
    train(theirs, NESTEROV(theirs.parameters(), lr=0.02), range(30))
    assert torch.equal(weights(ours), weights(theirs))


@pytest.mark.parametrize("start", [2.0, -2.0])
def test_hand(start):  # on 3 w^2 / 2: w - lr * 3 * (w + rho sign(w)) = 2 - 0.1 * 3 * 2.5 = 1.25
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = SAM([w], lr=0.1, rho=0.5)

    def closure():
        optimizer.zero_grad()
        value = 1.5 * w**2
        value.backward()
        return value

    assert optimizer.step(closure).item() == 6.0
    assert w.item() == pytest.approx(1.25 if start > 0 else -1.25, abs=1e-9)


def test_one_norm_over_all_groups():
    one, two = network(), network()
    parameters = list(two.parameters())
    groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    train(one, SAM(one.parameters(), lr=0.02, rho=0.3), range(10))
    train(two, SAM(groups, lr=0.02, rho=0.3), range(10))
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-12, atol=1e-12)


def test_groups_keep_their_own_weight_decay():
    a, b = (torch.ones(1, requires_grad=True) for _ in range(2))
    optimizer = SAM([{"params": [a]}, {"params": [b], "weight_decay": 0.0}], lr=0.1, weight_decay=0.5)

    def closure():
        optimizer.zero_grad()
        value = 0 * (a + b).sum()
        value.backward()
        return value

    optimizer.step(closure)
    assert a.item() == pytest.approx(0.95) and b.item() == 1.0


def test_gradient_of_0_moves_nothing():  # at the minimum of w^2 / 2; 0 / 0 would make it NaN
    w = torch.zeros(1, requires_grad=True)
    optimizer = SAM([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        value = (w**2 / 2).sum()
        value.backward()
        return value

    optimizer.step(closure)
    assert w.item() == 0.0


def test_schedule_reaches_the_base():
    model = network()
    before = weights(model)
    optimizer = SAM(model.parameters(), lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train(model, optimizer, range(3))
    assert torch.equal(weights(model), before)


def test_closure_is_required():  # which is how the trainer sees that gradients must be recomputed
    assert inspect.signature(SAM.step).parameters["closure"].default is inspect.Parameter.empty


def test_a_closure_that_raises_leaves_theta():
    model = network()
    before = weights(model)
    optimizer = SAM(model.parameters(), rho=0.5)
    calls = []

    def closure():
        calls.append(weights(model))
        if len(calls) == 2:
            raise FloatingPointError
        optimizer.zero_grad()
        value = loss(model, 0)
        value.backward()
        return value

    with pytest.raises(FloatingPointError):
        optimizer.step(closure)
    assert (calls[1] - before).norm().item() == pytest.approx(0.5)  # it was at the edge of the ball
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("base", [NESTEROV, AdamW])
def test_resume(base, tmp_path):
    check_resume(lambda params: SAM(params, base, lr=0.01, rho=0.3), tmp_path / "checkpoint.pt")
