"""Attacks against closed forms on linear models, against a slow loop with ordinary autograd, and the ball's bounds."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from lossbench.attacks import Ball, gradient, projected_gradient, worst_logits
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.models.convnet import convnet
from lossbench.objective import Network
from lossbench.ops import margin
from tests.losses.support import near

NORMS = ("l_inf", "l_2")


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 5)).double()


def inputs():
    return drawn(6, 3, 2, 2), torch.tensor([0, 1, 2, 3, 4, 0])


def attack(forward, x, targets, start, ball, **options):
    return projected_gradient(lambda moved: cross_entropy(forward(moved), targets), x, start, ball, **options)


def binary(weights, bias=0.3):
    """Scores (w x + b, -(w x + b)) of two classes."""

    def forward(x):
        score = x.flatten(1) @ weights + bias
        return torch.stack([score, -score], -1)

    return forward


@pytest.mark.parametrize("steps", [1, 7])
def test_linear_model(steps):
    # The worst perturbation of a linear binary classifier is known: -s eps sign(w) for l_inf, -s eps w / |w| for l_2,
    # where s = +1 for class 0 and -1 for class 1; the loss is softplus(-2 (s (w x + b) - eps |w|_dual)).
    weights, x, targets = drawn(12), drawn(6, 3, 2, 2), torch.tensor([0, 1, 0, 1, 0, 1])
    sign = 1.0 - 2.0 * targets.double()
    for norm, worst, dual in (
        ("l_inf", weights.sign(), weights.abs().sum()),
        ("l_2", weights / weights.norm(), weights.norm()),
    ):
        ball = Ball(norm, 0.2)
        found = attack(
            binary(weights), x, targets, torch.zeros_like(x), ball, steps=steps, step_size=0.2 if steps == 1 else 0.05
        )
        near((found - x).flatten(1), -0.2 * sign[:, None] * worst)
        loss = cross_entropy(binary(weights)(found), targets)
        score = x.flatten(1) @ weights + 0.3
        near(loss, torch.nn.functional.softplus(-2 * (sign * score - 0.2 * dual)))


def slow(forward, image, target, start, norm, radius, unit, low, high, steps, step_size):
    """One example, axis by axis, with ordinary autograd; as papers write it down."""
    p = start.clone()

    def project(p):
        if norm == "l_inf":
            p = torch.tensor([min(max(v, -radius), radius) for v in p.flatten().tolist()], dtype=p.dtype).view_as(p)
        else:
            length = math.sqrt(sum(float(v) ** 2 for v in p.flatten()))
            p = p * min(1.0, radius / length) if length > 0 else p
        return ((image + unit * p).clamp(low, high) - image) / unit

    p = project(p)
    for _ in range(steps):
        p = p.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(forward((image + unit * p)[None]), target[None])
        (g,) = torch.autograd.grad(loss, p)
        step = g.sign() if norm == "l_inf" else g / g.norm()
        p = project(p.detach() + step_size * step)
    return image + unit * p


@pytest.mark.parametrize("norm", NORMS)
def test_slow_loop(norm):
    model, (x, targets) = network(), inputs()
    x = x.clamp(-1.5, 2.0)
    unit = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).view(3, 1, 1)
    start = Ball(norm, 0.4).start(x, torch.Generator().manual_seed(0))
    low, high = torch.tensor(-1.5, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    for steps in (1, 5):
        found = attack(model, x, targets, start, Ball(norm, 0.4, unit, low, high), steps=steps, step_size=0.15)
        for i in range(6):
            near(found[i], slow(model, x[i], targets[i], start[i], norm, 0.4, unit, -1.5, 2.0, steps, 0.15).detach())


@pytest.mark.parametrize("norm", NORMS)
def test_stays_in_the_ball_and_in_the_range(norm):
    model, (x, targets) = network(), inputs()
    unit = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).view(3, 1, 1)
    low, high = torch.full((1,), -1.0, dtype=torch.float64), torch.full((1,), 1.0, dtype=torch.float64)
    ball = Ball(norm, 0.3, unit, low, high)
    for seed in range(5):
        start = drawn(*x.shape, seed=seed)  # far outside of the ball
        found = attack(model, x, targets, start, ball, steps=4, step_size=3.0)
        moved = ((found - x) / unit).flatten(1)
        length = moved.abs().amax(1) if norm == "l_inf" else moved.norm(dim=1)
        assert length.max() <= 0.3 + 1e-12
        assert length.max() > 0.29  # it does move
        # what is in the range stays there; what is outside (3 of the draws are) moves no further out
        assert (found <= torch.maximum(x, high) + 1e-12).all() and (found >= torch.minimum(x, low) - 1e-12).all()


def test_start():  # uniform in the ball: (length / radius)^dimensions is uniform in [0, 1] for l_2, entries for l_inf
    x = torch.zeros(4000, 3, 2, 2)
    start = Ball("l_inf", 0.5).start(x, torch.Generator().manual_seed(0))
    assert start.abs().max() <= 0.5
    near(start.mean(), 0.0, 0.01)
    near(start.abs().mean(), 0.25, 0.01)
    start = Ball("l_2", 0.5).start(x, torch.Generator().manual_seed(0)).flatten(1)
    share = (start.norm(dim=1) / 0.5) ** 12
    assert share.max() <= 1 + 1e-5
    for level in (0.25, 0.5, 0.75):
        near((share < level).double().mean(), level, 0.05)
    near(start.mean(0), 0.0, 0.02)  # no direction is preferred
    again = Ball("l_2", 0.5).start(x, torch.Generator().manual_seed(0)).flatten(1)
    assert torch.equal(again, start)


@pytest.mark.parametrize("norm", NORMS)
def test_vmap(norm):  # over models, as a stack of runs calls it: the same as one by one, also where gradient is wanted
    models, (x, targets) = [network(seed) for seed in range(3)], inputs()
    start, ball = Ball(norm, 0.3).start(x, torch.Generator().manual_seed(1)), Ball(norm, 0.3)
    parameters, _ = stack_module_state(models)

    def one(own):
        def forward(moved):
            return functional_call(models[0], own, (moved,))

        found = attack(forward, x, targets, start, ball, steps=3, step_size=0.1)
        return found, cross_entropy(forward(found), targets).sum()

    found, losses = vmap(one)(parameters)
    gradients = torch.autograd.grad(losses.sum(), list(parameters.values()))
    assert not found.requires_grad
    for i, model in enumerate(models):
        expected = attack(model, x, targets, start, ball, steps=3, step_size=0.1)
        near(found[i], expected)
        own = torch.autograd.grad(cross_entropy(model(expected), targets).sum(), list(model.parameters()))
        for stacked, single in zip(gradients, own, strict=True):
            near(stacked[i], single)


def test_no_graph():  # none of second order is built, in neither of the two ways, although the weights are trained
    model, (x, targets) = network(), inputs()
    ball, zero = Ball("l_inf", 0.1), torch.zeros_like(x)
    assert all(p.requires_grad for p in model.parameters())
    seen = []

    def watched(moved):
        seen.append(moved)
        return cross_entropy(model(moved), targets)

    found = projected_gradient(watched, x, zero, ball, steps=2, step_size=0.1)
    assert not found.requires_grad and len(seen) == 2
    assert (
        vmap(lambda _: projected_gradient(watched, x, zero, ball, steps=2, step_size=0.1))(torch.zeros(2)).grad_fn
        is None
    )
    weight = torch.ones(3, requires_grad=True)

    def slope(at):  # of sum_j weight_j at_j^2, whose own graph would lead to the weight
        return gradient(lambda at: ((weight * at.square()).sum(), weight.sum()), at)

    alone, stacked = slope(torch.ones(3)), vmap(slope)(torch.ones(2, 3))
    assert alone[0].tolist() == [2.0] * 3 and stacked[0].tolist() == [[2.0] * 3] * 2
    assert not any(tensor.requires_grad for tensor in (*alone, *stacked))
    with torch.no_grad():  # as at evaluation
        near(attack(model, x, targets, zero, ball, steps=2, step_size=0.1), found)


def test_autocast_and_batch_norm():  # in bfloat16 nearly the same point; the running statistics do not learn
    x, targets = drawn(16, 1, 8, 8).float(), torch.arange(16) % 10
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = convnet(input_shape=(1, 8, 8), num_outputs=10, norm="batch").train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    ball = Ball("l_inf", 0.1)
    exact = attack(Network.of(model).forward, x, targets, torch.zeros_like(x), ball, steps=2, step_size=0.05)
    half = Network.of(model).under_autocast("cpu", torch.bfloat16).forward
    found = attack(lambda moved: half(moved).float(), x, targets, torch.zeros_like(x), ball, steps=2, step_size=0.05)
    assert found.dtype == torch.float32
    assert ((found - exact).abs() < 1e-6).double().mean() > 0.9
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name
    # In training mode the statistics are those of the attacked batch: alone, an example is attacked in another way.
    alone = attack(Network.of(model.eval()).forward, x, targets, torch.zeros_like(x), ball, steps=2, step_size=0.05)
    assert not torch.equal(alone, exact)


def test_margin():
    logits, targets = drawn(6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    for i, y in enumerate(targets):
        near(margin(logits, targets)[i], logits[i, y] - max(logits[i, c] for c in range(5) if c != y))


def worst(forward, x, targets, objectives, **options):
    return worst_logits(
        forward, x, targets, objectives, Ball("l_inf", 0.3), **{"steps": 10, "step_size": 0.05, **options}
    )


def negative_margin(logits, targets):
    return -margin(logits, targets)


def test_worst_logits():
    model, (x, targets) = network(), inputs()
    both = worst(model, x, targets, (cross_entropy, negative_margin))
    assert torch.equal(both, worst(model, x, targets, (cross_entropy, negative_margin)))  # nothing is drawn
    single = [worst(model, x, targets, (objective,)) for objective in (cross_entropy, negative_margin)]
    near(margin(both, targets), torch.minimum(*(margin(logits, targets) for logits in single)))
    assert (margin(both, targets) < margin(model(x), targets) - 0.01).all()
    # At least as bad as the last point of the same attack, and never better than the input itself.
    last = attack(model, x, targets, torch.zeros_like(x), Ball("l_inf", 0.3), steps=10, step_size=0.05)
    assert (margin(single[0], targets) <= margin(model(last), targets) + 1e-12).all()
    harmless = worst(model, x, targets, (lambda logits, targets: margin(logits, targets),))  # goes the wrong way
    near(margin(harmless, targets), margin(model(x), targets))


def test_worst_logits_of_a_linear_model():  # the closed form of the robust margin: 2 (s (w x + b) - eps |w|_1)
    weights, x, targets = drawn(12), drawn(6, 3, 2, 2), torch.tensor([0, 1, 0, 1, 0, 1])
    sign = 1.0 - 2.0 * targets.double()
    found = worst(binary(weights), x, targets, (cross_entropy, negative_margin))
    score = x.flatten(1) @ weights + 0.3
    near(margin(found, targets), 2 * (sign * score - 0.3 * weights.abs().sum()))


def test_saturated_model_is_found_out():
    # Scores so large that in float32 the cross-entropy and its gradient are exactly 0: an attack on it alone goes
    # nowhere, and would report a robust model. The attack on the margin does not see the difference.
    weights, x, targets = drawn(12).float(), drawn(6, 3, 2, 2).float(), torch.zeros(6, dtype=torch.long)
    x = x + (3.0 - x.flatten(1) @ weights).view(-1, 1, 1, 1) * weights.view(3, 2, 2) / weights.square().sum()
    certain = binary(1e3 * weights, bias=0.0)  # w x = 3 everywhere, so the margins are 6000
    fooled = worst(certain, x, targets, (cross_entropy,))
    near(margin(fooled, targets), 6e3, 1e-3)
    found = worst(certain, x, targets, (cross_entropy, negative_margin))
    near(margin(found, targets), 6e3 - 2e3 * 0.3 * weights.abs().sum(), 1e-3)
