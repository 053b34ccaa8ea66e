import torch

from lossbench.reweightings.feasible_learning import feasible_learning, init_state
from tests.losses.support import near, sample


def test_limit():
    losses, ids = sample("losses", "ids")
    start = init_state(num_examples=11)
    # a model that meets the level at the start never gets a weight
    weights, state = feasible_learning(losses, ids, start, level=100.0)
    near(weights, torch.zeros(6))
    near(state["multipliers"], torch.zeros(11))
    # a level of 0 and a long step: weights in proportion to the losses
    weights, _ = feasible_learning(losses, ids, start, level=0.0, dual_rate=7.0)
    near(weights, 7 * losses)


def test_oracle():  # the update of each multiplier alone, five batches, with slack and without
    for slack in (None, 0.5):
        expected = [0.0] * 11
        state = {"multipliers": torch.zeros(11, dtype=torch.float64)}
        for seed in range(5):
            losses, ids = sample("losses", "ids", seed=seed)
            weights, state = feasible_learning(losses, ids, state, level=0.9, dual_rate=0.4, slack=slack)
            for i, address in enumerate(ids.tolist()):
                excess = losses[i].item() - 0.9 - (expected[address] / slack if slack else 0.0)
                expected[address] = max(0.0, expected[address] + 0.4 * excess)
                near(weights[i], expected[address])
            near(state["multipliers"], expected)


def test_hand():  # 0.5 + 0.1 (3 - 1) = 0.7; 0.05 + 0.1 (0 - 1) < 0; resilient: 0.5 + 0.1 (3 - 1 - 0.5 / 0.25) = 0.5
    state = {"multipliers": torch.tensor([0.05, 0.3, 0.5])}
    losses, ids = torch.tensor([3.0, 0.0]), torch.tensor([2, 0])
    weights, new = feasible_learning(losses, ids, state, level=1.0, dual_rate=0.1)
    near(weights, [0.7, 0.0], 1e-6)
    near(new["multipliers"], [0.0, 0.3, 0.7], 1e-6)
    weights, _ = feasible_learning(losses, ids, state, level=1.0, dual_rate=0.1, slack=0.25)
    near(weights, [0.5, 0.0], 1e-6)


def test_solves_a_constrained_problem():
    """min t^2 / 2 where (t - 1)^2 <= 1/4: t = 1/2, and its multiplier, halved by the mean over the two examples, is
    stationary at lambda / 2 * 2 (1 - t) = t, so lambda = 1; the other constraint always holds."""
    t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    state = {"multipliers": torch.zeros(2, dtype=torch.float64)}
    for _ in range(4000):
        losses = torch.stack([(t - 1).square(), (t + 1).square() * 0])
        weights, state = feasible_learning(losses.detach(), torch.tensor([0, 1]), state, level=0.25, dual_rate=0.02)
        (gradient,) = torch.autograd.grad((weights * losses).mean(), t)
        with torch.no_grad():
            t -= 0.05 * (gradient + t)
    near(t.detach(), 0.5, 1e-3)
    near(state["multipliers"], [1.0, 0.0], 1e-3)
