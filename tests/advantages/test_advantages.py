import statistics

import pytest
import torch

from lossbench.advantages.group_centered import group_centered
from lossbench.advantages.group_normalized import group_normalized
from lossbench.advantages.leave_one_out import leave_one_out
from lossbench.advantages.plain_reward import plain_reward
from lossbench.errors import UsageError

REWARDS = torch.rand((5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_loops(of_one):
    """of_one(reward, those of its prompt, those of the others of its prompt)"""
    return torch.tensor(
        [[of_one(r, row, row[:i] + row[i + 1 :]) for i, r in enumerate(row)] for row in REWARDS.tolist()],
        dtype=torch.float64,
    )


def test_group_normalized():
    expected = by_loops(lambda r, all_, others: (r - statistics.mean(all_)) / (statistics.stdev(all_) + 0.01))
    torch.testing.assert_close(group_normalized(REWARDS, epsilon=0.01), expected)
    # rewards 1, 0, 0, 0: mean 1/4, deviation 1/2
    hand = group_normalized(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), epsilon=1e-9)
    torch.testing.assert_close(hand, torch.tensor([[1.5, -0.5, -0.5, -0.5]]))
    assert group_normalized(torch.ones(2, 4)).eq(0).all() and group_normalized(torch.ones(2, 1)).eq(0).all()


def test_group_centered():
    torch.testing.assert_close(group_centered(REWARDS), by_loops(lambda r, all_, others: r - statistics.mean(all_)))
    torch.testing.assert_close(group_centered(REWARDS).sum(1), torch.zeros(5, dtype=torch.float64))


def test_leave_one_out():
    torch.testing.assert_close(leave_one_out(REWARDS), by_loops(lambda r, all_, others: r - statistics.mean(others)))
    torch.testing.assert_close(leave_one_out(REWARDS), group_centered(REWARDS) * 6 / 5)
    with pytest.raises(UsageError, match=r"task\.completions >= 2"):
        leave_one_out(REWARDS[:, :1])


def test_plain_reward():
    assert plain_reward(REWARDS) is REWARDS
