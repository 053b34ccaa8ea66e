import itertools

import pytest
import torch

from lossbench.metrics.verification import pass_at, verification_metrics


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_pass_at_k_counts_the_choices_of_k(k):
    for solved in range(7):
        outcomes = [i < solved for i in range(6)]
        choices = list(itertools.combinations(outcomes, k))
        expected = sum(any(choice) for choice in choices) / len(choices)
        torch.testing.assert_close(pass_at(k, torch.tensor([solved]), 6), torch.tensor([expected], dtype=torch.float64))


def test_hand():
    """Of two prompts, one is solved in one of four completions, the other never; half a reward is not solved."""
    rewards = torch.tensor([[1.0, 0.0, 0.5, 0.0], [0.5, 0.0, 0.0, 0.0]])
    lengths = torch.tensor([[2, 4, 4, 2], [4, 4, 2, 2]])
    entropies, kl = lengths * 0.25, torch.arange(8.0).view(2, 4)
    found = verification_metrics(rewards, lengths, lengths < 4, entropies, kl)
    expected = {"reward": 0.25, "pass_at_1": 0.125, "pass_at_2": 0.25, "pass_at_4": 0.5, "length": 3, "finished": 0.5}
    expected |= {"entropy": 0.25, "kl": 3.5}
    assert {name: float(value) for name, value in found.items()} == expected


def test_what_is_not_finite_makes_all_nan():
    ones = torch.ones(2, 3)
    found = verification_metrics(ones, ones.long(), ones.bool(), ones, torch.tensor([[1.0, torch.inf, 1]] * 2))
    assert all(value.isnan() for value in found.values())
