import math

import pytest
import torch

from lossbench.datasets.categorical_bandit import categorical_bandit
from lossbench.variants.completions import completions
from tests.datasets.support import generator


def test_density_and_reward():  # by the formulas, in the far and in the near case
    for distance, peak in ((2.0, 80), (0.0, 50), (-9.0, 0)):
        truth = categorical_bandit(generator=generator(), num_examples=10, distance=distance).truth
        density = [math.exp(-((y - 49.5) ** 2) / (2 * 15**2)) for y in range(100)]
        for y in (0, 37, 80, 99):
            assert truth.log_p[0, y].item() == pytest.approx(math.log(density[y] / sum(density)))
            assert truth.rewards[0, y].item() == pytest.approx(5 * math.exp(-((y - peak) ** 2) / 50))
        assert truth.rewards.argmax().item() == peak and truth.rewards.max().item() == 5
        assert truth.prompts.tolist() == [[0]] and truth.completions.flatten().tolist() == list(range(100))


def test_pairs():  # two draws from the density, ordered by Bradley-Terry
    dataset = categorical_bandit(generator=generator(), num_examples=50000, distance=0.5, num_symbols=10, spread=0.3)
    split, rewards = dataset.train, dataset.truth.rewards[0]
    assert split.inputs.shape == (50000, 2, 1) and split.inputs.unique().tolist() == [0]
    assert split.labels["mask"].all()
    pairs = split.labels["targets"].squeeze(-1)
    counts = torch.bincount(pairs.flatten(), minlength=10) / 100000
    torch.testing.assert_close(counts.double(), dataset.truth.log_p[0].exp(), atol=0.01, rtol=0)
    torch.testing.assert_close(split.labels["reward_margins"], (rewards[pairs[:, 0]] - rewards[pairs[:, 1]]).float())
    best = (pairs == rewards.argmax()).any(1) & (pairs[:, 0] != pairs[:, 1])
    other = pairs[best].sum(1) - rewards.argmax()
    expected = torch.sigmoid(rewards.max() - rewards[other]).mean()
    assert (pairs[best, 0] == rewards.argmax()).double().mean().item() == pytest.approx(expected.item(), abs=0.02)


def test_samples():
    dataset = categorical_bandit(generator=generator(), num_samples=70)
    made = completions(dataset, generator())
    assert made.train.inputs.shape == (70, 1) and made.num_outputs == 100
    assert torch.equal(made.train.labels["targets"], dataset.samples[0][:, 1:])
