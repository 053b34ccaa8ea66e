"""recipe=loop: its three parts together, against the objective of the paper over Python numbers."""

import math
from pathlib import Path

import pytest
import torch
import yaml

import lossbench
from lossbench.advantages.leave_one_out import leave_one_out
from lossbench.losses.reinforcement.clipped_policy_gradient import clipped_policy_gradient
from lossbench.losses.reinforcement.policy_gradient import policy_gradient
from lossbench.objective import divide
from lossbench.reductions.sequence_mean import sequence_mean
from tests.losses.support import near, sample

RECIPE = yaml.safe_load((Path(lossbench.__file__).parents[1] / "configs/recipe/loop.yaml").read_text())


def drawn(seed=0):
    """Rewards [4, 3] of four prompts; log-probabilities [12, 5] of their completions, 1 to 5 tokens each."""
    rewards, lengths = sample("rewards", "completion_lengths", B=4, R=3, T=5, seed=seed)
    logps, old = sample("token_logps", "old_token_logps", tokens=True, B=12, T=5, seed=seed)
    mask = torch.arange(5) < lengths.flatten().unsqueeze(1)
    return rewards, torch.where(mask, logps, 0.0), torch.where(mask, logps + (old - logps) / 3, 0.0), mask


def objective(rewards, logps, old, mask, **level):
    chosen = dict(next(iter(entry.items())) for entry in RECIPE["defaults"])
    assert chosen == {
        "override /loss": "reinforcement/clipped_policy_gradient",
        "override /advantage": "leave_one_out",
        "override /reduction": "sequence_mean",
    }
    advantages = leave_one_out(rewards).flatten().unsqueeze(1).expand_as(logps)
    values = clipped_policy_gradient(logps, old, advantages, mask, **RECIPE["loss"], **level)
    return divide(*sequence_mean(values, mask))


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_oracle(level):
    clipped = 0
    for seed in range(6):
        rewards, logps, old, mask = drawn(seed)
        total = 0.0
        for prompt in range(4):
            for k in range(3):
                others = [float(rewards[prompt, j]) for j in range(3) if j != k]
                advantage = float(rewards[prompt, k]) - sum(others) / 2
                row = 3 * prompt + k
                length = int(mask[row].sum())
                changes = [float(logps[row, t] - old[row, t]) for t in range(length)]
                if level == "sequence":
                    changes = [sum(changes)]
                terms = []
                for change in changes:
                    ratio = math.exp(change)
                    kept = min(max(ratio, 1 / 1.1), 1.1)
                    terms.append(min(ratio * advantage, kept * advantage))
                    clipped += terms[-1] != ratio * advantage
                total -= sum(terms) / len(terms) / 12
        near(objective(rewards, logps, old, mask, level=level), total, tolerance=1e-5)  # 0.0909 is 1 - 1 / 1.1
    assert clipped > 5


def test_limit():  # on the samples of the policy itself: the gradient of the policy gradient with the same baseline
    rewards, logps, _, mask = drawn()
    logps.requires_grad_()
    (found,) = torch.autograd.grad(objective(rewards, logps, logps.detach(), mask), logps)
    advantages = leave_one_out(rewards).flatten().unsqueeze(1).expand_as(logps)
    (expected,) = torch.autograd.grad(divide(*sequence_mean(policy_gradient(logps, advantages), mask)), logps)
    near(found, expected)
    near(leave_one_out(rewards).sum(1), torch.zeros(4))
