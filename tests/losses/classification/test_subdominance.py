import itertools

import torch

from lossbench.decisions import decision_costs
from lossbench.losses.classification import subdominance as module
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.subdominance import init_state
from tests.losses.support import near

B, J = 3, 4


def subdominance(logits, targets, groups, counts, demonstrations, uniforms, state, **hyperparameters):
    """After the warm-up."""
    progress = torch.tensor(0.9)
    return module.subdominance(
        logits, targets, groups, counts, demonstrations, uniforms, progress, state, **hyperparameters
    )


def problem(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, 2, generator=generator, dtype=torch.float64)
    targets, groups = torch.tensor([1, 0, 1]), torch.tensor([0, 1, 0])
    demonstrations = (torch.rand(B, J, generator=generator) < 0.5).double()
    return logits, targets, groups, torch.tensor([5.0, 2.0], dtype=torch.float64), demonstrations


def state(values=(1.0, 1.0, 1.0, 1.0)):
    return {"scales": torch.tensor(values, dtype=torch.float64)}


def hinges(decisions, targets, groups, demonstrations, scales):
    """sum_k [scale_k (f_k - f_k of demonstration j) + 1]_+, averaged over j, in loops."""
    own = decision_costs(decisions[None], targets, groups, 2)[0].tolist()
    others = decision_costs(demonstrations.T, targets, groups, 2).tolist()
    return sum(max(0.0, scales[k] * (own[k] - other[k]) + 1) for other in others for k in range(4)) / len(others)


def test_limit():  # certain decisions that are the demonstrations' own: a hinge of 1 for each cost, and no gradient
    _, targets, groups, counts, _ = problem()
    logits = torch.tensor([[0.0, 50.0], [50.0, 0.0], [0.0, 50.0]], dtype=torch.float64, requires_grad=True)
    same = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)[:, None].expand(B, J)
    value, _ = subdominance(logits, targets, groups, counts, same, torch.rand(B, 8).double(), state())
    near(value.detach(), 4.0)
    near(torch.autograd.grad(value, logits)[0], torch.zeros(B, 2))


def test_oracle():
    """Two draws of three decisions can come out in 64 ways. Value and gradient, weighed by their probabilities, are the
    expectation of the hinges and its derivative, exactly: the gradient of the policy has no bias."""
    logits, targets, groups, counts, demonstrations = problem()
    scales = [2.0, 1.0, 0.5, 3.0]
    logits.requires_grad_()
    p, expected = logits.softmax(-1)[:, 1], torch.zeros((), dtype=torch.float64)
    ways = [torch.tensor(way, dtype=torch.float64) for way in itertools.product((0.0, 1.0), repeat=B)]
    probabilities = [(p * d + (1 - p) * (1 - d)).prod() for d in ways]
    for d, probability in zip(ways, probabilities, strict=True):
        expected = expected + probability * hinges(d, targets, groups, demonstrations, scales)
    value, gradient = torch.zeros(()), torch.zeros(B, 2)
    for (one, p_one), (two, p_two) in itertools.product(zip(ways, probabilities, strict=True), repeat=2):
        uniforms = 1 - torch.stack([one, two], 1).clamp(1e-9, 1 - 1e-9)  # just those decisions
        found, _ = subdominance(logits, targets, groups, counts, demonstrations, uniforms, state(scales))
        weight = (p_one * p_two).detach()
        value = value + weight * found.detach()
        gradient = gradient + weight * torch.autograd.grad(found, logits)[0]
    near(value, expected.detach())
    near(gradient, torch.autograd.grad(expected, logits)[0])


def test_scales():
    """The sweep in a loop, from the mean costs of the draws: for demonstrations of many sizes, for a model that beats
    none of them, and for one that beats all."""
    generator = torch.Generator().manual_seed(3)
    targets = torch.randint(2, (40,), generator=generator)
    groups, counts = torch.randint(2, (40,), generator=generator), torch.tensor([20.0, 20.0], dtype=torch.float64)
    right, wrong = (50 * torch.eye(2, dtype=torch.float64)[t] for t in (targets, 1 - targets))
    for logits in (torch.randn(40, 2, generator=generator, dtype=torch.float64), right, wrong):
        wrongly = torch.rand(40, 9, generator=generator) < torch.linspace(0.05, 0.6, 9)
        demonstrations = (targets[:, None].bool() ^ wrongly).double()
        uniforms = torch.rand(40, 6, generator=generator, dtype=torch.float64)
        start = (3.0, 0.5, 2.0, 1.0)
        _, new = subdominance(
            logits, targets, groups, counts, demonstrations, uniforms, state(start), regularization=0.02
        )
        decisions = (uniforms < logits.softmax(-1)[:, 1:]).double()
        own = decision_costs(decisions.T, targets, groups, 2).mean(0).tolist()
        for k in range(4):
            others = sorted(decision_costs(demonstrations.T, targets, groups, 2)[:, k].tolist())
            expected = sum(start) / 4
            for m, cost in enumerate(others):
                if cost > own[k]:
                    expected = min(100.0, 1 / (cost - own[k]))
                if own[k] + 0.02 <= sum(others[: m + 1]) / (m + 1):
                    break
            near(new["scales"][k], expected)


def test_hand():
    """Certain decisions 1, 0, 1 are right: error 0, parity gap 1 (group 0 all, group 1 none), rates: positives only in
    group 0, negatives only in group 1, no gap; predictive values 1 and 0 where there is nothing: gap 1. Demonstration
    0, 0, 1: error 1/3, parity 1/2, no gap of rates, predictive values 1 against 0 and 1/2 against 1: gap 1. With scales
    of 1: [-1/3 + 1] + [1/2 + 1] + 1 + [0 + 1]."""
    _, targets, groups, counts, _ = problem()
    logits = torch.tensor([[0.0, 50.0], [50.0, 0.0], [0.0, 50.0]], dtype=torch.float64)
    demonstration = torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64)
    value, _ = subdominance(logits, targets, groups, counts, demonstration, torch.rand(B, 3).double(), state())
    near(value, 2 / 3 + 3 / 2 + 1 + 1)


def test_warm_up():  # cross-entropy, and the scales wait
    logits, targets, groups, counts, demonstrations = problem()
    uniforms, start = torch.rand(B, 5).double(), state((3.0, 2.0, 1.0, 5.0))
    given = (logits, targets, groups, counts, demonstrations, uniforms)
    value, new = module.subdominance(*given, torch.tensor(0.49), start, warm_up=0.5)
    near(value, cross_entropy(logits, targets).mean())
    near(new["scales"], start["scales"])
    after, new = module.subdominance(*given, torch.tensor(0.5), start, warm_up=0.5)
    near(after, subdominance(*given, start)[0])
    assert (new["scales"] != start["scales"]).any()


def test_start():  # scales of 1
    assert init_state()["scales"].tolist() == [1.0] * 4
