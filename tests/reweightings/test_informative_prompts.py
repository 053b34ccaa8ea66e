import pytest
import torch

from lossbench.advantages.group_normalized import group_normalized
from lossbench.losses.reinforcement.policy_gradient import policy_gradient
from lossbench.objective import divide
from lossbench.reductions.sequence_mean import sequence_mean
from lossbench.reductions.token_mean import token_mean
from lossbench.reweightings.informative_prompts import informative_prompts
from tests.losses.support import near, sample


def test_limit():  # where every prompt counts, every weight is 1; where none does, 0 and no 0 / 0
    _, lengths = sample("rewards", "completion_lengths", R=4)
    different = torch.tensor([[0.0, 1, 1, 0]], dtype=torch.float64).expand(6, -1)
    for per in ("tokens", "completions"):
        near(informative_prompts(different, lengths, per=per), torch.ones(24))
        near(informative_prompts(torch.ones_like(different), lengths, per=per), torch.zeros(24))


def test_hand():  # two of three prompts count: 3 / 2 for their completions, or 12 / 9 for their tokens
    rewards = torch.tensor([[1.0, 0], [1, 1], [0, 0.5]], dtype=torch.float64)
    lengths = torch.tensor([[1.0, 2], [2, 1], [3, 3]], dtype=torch.float64)
    near(informative_prompts(rewards, lengths, per="completions"), [1.5, 1.5, 0, 0, 1.5, 1.5])
    near(informative_prompts(rewards, lengths), [4 / 3, 4 / 3, 0, 0, 4 / 3, 4 / 3])


@pytest.mark.parametrize(("per", "reduction"), [("tokens", token_mean), ("completions", sequence_mean)])
def test_oracle(per, reduction):  # the reduction of a batch that has the kept prompts alone
    for seed in range(3):
        rewards, lengths = sample("rewards", "completion_lengths", R=3, T=5, seed=seed)
        mask = torch.arange(5) < lengths.flatten().unsqueeze(1)
        logps = torch.randn(18, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        values = policy_gradient(logps, group_normalized(rewards).flatten().unsqueeze(1).expand(-1, 5))
        weights = informative_prompts(rewards, lengths, per=per)
        kept = [3 * row + i for row in range(6) for i in range(3) if len(set(rewards[row].tolist())) > 1]
        assert 0 < len(kept) < 18
        expected = divide(*reduction(values[kept], mask[kept]))
        near(divide(*reduction(weights.unsqueeze(1) * values, mask)), expected)
