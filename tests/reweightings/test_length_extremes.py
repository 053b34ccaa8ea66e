import numpy
import pytest
import torch

from lossbench.reweightings.informative_prompts import informative_prompts
from lossbench.reweightings.length_extremes import length_extremes
from tests.losses.support import near, sample


@pytest.mark.parametrize("per", ["tokens", "completions"])
def test_limit(per):
    rewards, lengths = sample("rewards", "completion_lengths", R=4)
    everything = length_extremes(rewards, lengths, shortest=0.5, longest=0.5, cut=1.0, per=per)
    near(everything, informative_prompts(rewards, lengths, per=per))
    near(length_extremes(rewards, lengths, shortest=0.0, longest=1.0, cut=0.0, per=per), torch.zeros(24))
    near(length_extremes(torch.ones_like(rewards), lengths, per=per), torch.zeros(24))


def test_oracle():  # NumPy's inverse of the distribution function, of the prompts that are left
    for seed in range(6):
        rewards, lengths = sample("rewards", "completion_lengths", B=30, R=3, seed=seed)
        left = [i for i in range(30) if len(set(rewards[i].tolist())) > 1]
        means = {i: float(lengths[i].mean()) for i in left}  # with ties
        low, high, most = numpy.quantile(list(means.values()), [0.3, 0.65, 0.95], method="inverted_cdf")
        kept = [i for i in left if means[i] <= low or high <= means[i] <= most]
        assert 0 < len(kept) < len(left) < 30
        expected = torch.zeros(30, 3, dtype=torch.float64)
        expected[kept] = 30 / len(kept)
        near(length_extremes(rewards, lengths, per="completions"), expected.flatten())
        expected[kept] = float(lengths.sum() / lengths[kept].sum())
        near(length_extremes(rewards, lengths), expected.flatten())


def test_hand():
    """Ten prompts of lengths 1 to 10, and one whose rewards are equal: Q(0.3) = 3, Q(0.65) = 7, Q(0.95) = 10."""
    lengths = torch.tensor([[3.0], [1], [4], [2], [10], [5], [9], [7], [8], [6], [0.5]], dtype=torch.float64)
    rewards = torch.tensor([[1.0, 0]] * 10 + [[1, 1]], dtype=torch.float64)
    lengths = lengths + torch.tensor([[-0.25, 0.25]], dtype=torch.float64)  # only their mean counts
    kept = torch.tensor([1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0])
    near(length_extremes(rewards, lengths, per="completions"), (kept.double() * 11 / 7).repeat_interleave(2))
    kept[4] = 0  # the longest of ten is above Q(0.9)
    near(length_extremes(rewards, lengths, cut=0.9, per="completions"), (kept.double() * 11 / 6).repeat_interleave(2))
