import inspect

import numpy as np
import pytest
import torch

from lossbench.optimizers.momo import Momo
from lossbench.optimizers.momo_adam import MomoAdam
from tests.optimizers.support import check_against, network, train, weights


def dot(a, b):
    return sum((u * v).sum() for u, v in zip(a, b, strict=True))


def by_hand(*, lr, decay, beta, lower, corrected, estimate, beta2=None):
    """The equations as the paper's algorithms have them, for one weight decay."""
    memory: dict = {}

    def update(theta, g, loss, step):
        if step == 1:
            memory.clear()
            zero = [np.zeros_like(t) for t in theta]
            start = (0.0, zero, 0.0) if corrected else (loss, [v.copy() for v in g], dot(g, theta))
            memory.update(f=start[0], d=start[1], c=start[2], v=zero, bound=lower)
        memory["f"] = beta * memory["f"] + (1 - beta) * loss
        memory["d"] = [beta * d + (1 - beta) * v for d, v in zip(memory["d"], g, strict=True)]
        memory["c"] = beta * memory["c"] + (1 - beta) * dot(g, theta)
        rho, s = 1 - beta**step if corrected else 1.0, 1 + lr * decay
        scales = [np.ones_like(t) for t in theta]
        if beta2 is not None:
            memory["v"] = [beta2 * v + (1 - beta2) * u * u for v, u in zip(memory["v"], g, strict=True)]
            scales = [np.sqrt(v / (1 - beta2**step)) + 1e-8 for v in memory["v"]]
        scaled = [d / scale for d, scale in zip(memory["d"], scales, strict=True)]
        cap = s * memory["f"] + dot(memory["d"], theta) - s * memory["c"]
        if estimate and cap < s * rho * memory["bound"]:
            memory["bound"] = max(cap / (2 * s * rho), lower)
        square = dot(memory["d"], scaled)
        tau = min(lr / rho, max(cap - s * rho * memory["bound"], 0) / square)
        memory.setdefault("taus", []).append(tau * rho / lr)
        if estimate:
            h = memory["f"] + dot(memory["d"], theta) - memory["c"]
            memory["bound"] = max((h - 0.5 * tau * square) / rho, lower)
        for t, d in zip(theta, scaled, strict=True):
            t[...] = (t - tau * d) / s

    return update, memory


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("estimate", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_oracle(corrected, estimate, decay):  # over 50 steps
    options = {"lr": 0.8, "beta": 0.8}
    update, memory = by_hand(**options, decay=decay, lower=0.9, corrected=corrected, estimate=estimate)
    check_against(
        lambda params: Momo(params, **options, weight_decay=decay, lower_bound=0.9, bias_correction=corrected,
                            estimate_lower_bound=estimate),
        update, tolerance=1e-9,
    )  # fmt: skip
    assert min(memory["taus"]) < 0.5 and (estimate or max(memory["taus"]) == 1)  # bounded by both, at one time or other


def test_polyak():  # beta = 0: (loss - bound) / |g|^2; on x^2 / 2 at 4 with bound 2: x - 6 / 16 * 4 = 2.5
    x = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    optimizer = Momo([x], lr=1e9, beta=0.0, lower_bound=2.0)
    x.grad = x.detach().clone()
    optimizer.step(x.detach() ** 2 / 2)
    assert x.item() == pytest.approx(2.5)


def test_far_bound_is_momentum():  # torch's with dampening, whose buffer starts with the first gradient too
    ours, theirs = network(), network()
    train(ours, Momo(ours.parameters(), lr=0.05, lower_bound=-1e9), range(50))
    train(theirs, torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9, dampening=0.9), range(50))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("adam", [False, True])
def test_groups_with_a_decay_of_their_own(adam):
    """The step is the minimiser of the proximal problem, found here by a search over its dual variable: of

    max(f + <d, y> - c, rho b) + sum_g (|y_g - x_g|^2 + lr decay_g |y_g|^2) / (2 lr)      in the metric D
    """
    decays = (0.0, 0.7)
    xs = [torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([0.5, 3.0], dtype=torch.float64)]
    gs = [torch.tensor([0.3, -0.4], dtype=torch.float64), torch.tensor([0.2, 0.9], dtype=torch.float64)]
    params = [x.clone().requires_grad_() for x in xs]
    for p, g in zip(params, gs, strict=True):
        p.grad = g.clone()
    groups = [{"params": [p], "weight_decay": decay} for p, decay in zip(params, decays, strict=True)]
    # From zero averages after one step: f = 0.5 * loss and so on, rho = 0.5; MoMo has f = loss and rho = 1.
    optimizer = MomoAdam(groups, lr=2.0, betas=(0.5, 0.9)) if adam else Momo(groups, lr=2.0)
    loss, rho, lr = 1.1, 0.5 if adam else 1.0, 2.0
    optimizer.step(torch.tensor(loss, dtype=torch.float64))
    scales = [g.abs() + 1e-8 if adam else torch.ones_like(g) for g in gs]

    def answer(tau):  # the minimiser where the model has the slope tau / lr times d
        return [
            (x - tau * rho * g / scale) / (1 + lr * decay)
            for x, g, scale, decay in zip(xs, gs, scales, decays, strict=True)
        ]

    def model(ys):
        return rho * (loss + sum((g * (y - x)).sum() for x, y, g in zip(xs, ys, gs, strict=True)))

    low, high = 0.0, lr / rho
    if model(answer(high)) < 0:  # the bound is reached on the way
        for _ in range(200):
            tau = (low + high) / 2
            low, high = (tau, high) if model(answer(tau)) > 0 else (low, tau)
        assert high < lr / rho
    for p, y in zip(params, answer(high), strict=True):
        torch.testing.assert_close(p.data, y, rtol=1e-7, atol=1e-9)


def test_no_step_where_there_is_no_slope():
    x = torch.ones(1, requires_grad=True)
    for optimizer in (Momo([x]), MomoAdam([x])):
        x.grad = torch.zeros(1)
        optimizer.step(torch.tensor(1.0))
        assert x.item() == 1.0


def test_the_rate_bounds_the_step():  # which a schedule sets
    model = network()
    before = weights(model)
    optimizer = Momo(model.parameters())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train(model, optimizer, range(3))
    assert torch.equal(weights(model), before)


def test_a_huge_rate_is_survived():  # where momentum itself blows up
    ours, theirs = network(), network()
    losses = train(ours, Momo(ours.parameters(), lr=100.0), range(60))
    train(theirs, torch.optim.SGD(theirs.parameters(), lr=100.0, momentum=0.9, dampening=0.9), range(60))
    assert max(losses[20:]) < 10 and weights(theirs).abs().max() > 1e3


def test_loss_is_required():  # which is how the trainer sees that the optimizer wants it
    for optimizer in (Momo, MomoAdam):
        assert inspect.signature(optimizer.step).parameters["loss"].default is inspect.Parameter.empty
