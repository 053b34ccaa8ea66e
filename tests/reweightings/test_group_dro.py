import math

import torch

from lossbench.reweightings.group_dro import group_dro, init_state
from tests.losses.support import near, sample


def weigh(losses, groups, counts, state=None, **hyperparameters):
    return group_dro(losses, groups, counts, state or init_state(num_groups=len(counts)), **hyperparameters)


def test_limit():
    losses = torch.tensor([1.0, 2.0, 6.0, 0.5], dtype=torch.float64)
    groups, counts = torch.tensor([0, 0, 1, 2]), torch.tensor([5.0, 3.0, 2.0], dtype=torch.float64)
    # a step of 0: the mean of the groups' means
    weights, _ = weigh(losses, groups, counts, step_size=0.0)
    near((weights * losses).mean(), (1.5 + 6.0 + 0.5) / 3, 1e-6)
    # a large step: the worst group alone
    weights, _ = weigh(losses, groups, counts, step_size=1e3)
    near((weights * losses).mean(), 6.0, 1e-6)
    # one group: the plain mean
    weights, _ = weigh(losses, torch.zeros(4, dtype=torch.long), torch.tensor([10.0], dtype=torch.float64))
    near(weights, [1.0] * 4, 1e-6)


def test_oracle():  # algorithm 1 in loops over groups and examples, four steps on the same memory
    counts, adjustment, step_size = [30, 4, 9], 2.0, 0.3
    q = [1 / 3] * 3
    state = {name: value.double() for name, value in init_state(num_groups=3).items()}
    for seed in range(4):
        (losses,) = sample("losses", seed=seed)
        groups = torch.randint(3 if seed else 2, (6,), generator=torch.Generator().manual_seed(seed))
        weights, state = group_dro(
            losses, groups, torch.tensor(counts).double(), state, step_size=step_size, adjustment=adjustment
        )
        means = []
        for g in range(3):
            own = [losses[i].item() for i in range(6) if groups[i] == g]
            means.append(sum(own) / len(own) if own else 0.0)
        q = [q[g] * math.exp(step_size * (means[g] + adjustment / math.sqrt(counts[g]))) for g in range(3)]
        q = [value / sum(q) for value in q]
        near(state["log_weights"].exp(), q, 1e-6)
        near((weights * losses).mean(), sum(q[g] * means[g] for g in range(3)), 1e-6)


def test_hand():  # L = (1, 3), a step of log(2) / 2: q goes from (1/2, 1/2) to (1/3, 2/3); group 0 has 3 of 4 examples
    losses, groups = torch.tensor([1.0, 1.0, 1.0, 3.0]), torch.tensor([0, 0, 0, 1])
    weights, state = weigh(losses, groups, torch.tensor([3.0, 1.0]), step_size=math.log(2) / 2)
    near(state["log_weights"].exp(), [1 / 3, 2 / 3], 1e-6)
    near(weights, [4 / 9, 4 / 9, 4 / 9, 8 / 3], 1e-6)


def test_pure():  # the old memory stays as it was
    losses, groups, counts = sample("losses", "groups", "group_counts")
    state = init_state(num_groups=2)
    weigh(losses, groups, counts, state, step_size=1.0)
    near(state["log_weights"].exp(), [0.5, 0.5], 1e-6)
