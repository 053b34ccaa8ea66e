import statistics

import torch

from lossbench.advantages.group_centered import group_centered
from lossbench.advantages.group_normalized import group_normalized
from lossbench.advantages.reference_margin import reference_margin
from tests.losses.support import near, sample


def test_limit():  # no margin, or a reference that always does as well
    rewards, ref_rewards = sample("rewards", "ref_rewards", R=5)
    near(reference_margin(rewards, ref_rewards, margin_low=0, margin_high=0), group_normalized(rewards))
    near(reference_margin(rewards, rewards), group_normalized(rewards))
    near(reference_margin(rewards, rewards, normalize=False), group_centered(rewards))


def test_oracle():  # the formula, completion by completion; the margin is not divided by the deviation
    for seed in range(3):
        rewards, ref_rewards = sample("completion_entropies", "rewards", R=5, seed=seed)
        found = reference_margin(rewards, ref_rewards)
        for row in range(6):
            own, other = rewards[row].tolist(), ref_rewards[row].tolist()
            mean, deviation = statistics.mean(own), statistics.stdev(own)
            for i in range(5):
                margin = min(max(own[i] - other[i], -0.2), 0.28)
                near(found[row, i], (own[i] - mean) / (deviation + 1e-4) + margin)


def test_hand():  # all right or all wrong: the margin alone is left
    rewards = torch.tensor([[1.0, 1, 1], [0, 0, 0]], dtype=torch.float64)
    ref_rewards = torch.tensor([[1.0, 0, 0.9], [0, 1, 0.1]], dtype=torch.float64)
    near(reference_margin(rewards, ref_rewards), [[0, 0.28, 0.1], [0, -0.2, -0.1]])
    half = torch.tensor([[1.0, 0]], dtype=torch.float64)
    near(reference_margin(half, half.flip(1), normalize=False), [[0.78, -0.7]])
