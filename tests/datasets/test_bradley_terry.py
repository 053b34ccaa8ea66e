"""The truth of the data set by loops over its sequences; that completions and preferences are drawn as it says."""

import pytest
import torch

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits

SMALL = {"num_symbols": 3, "completion_length": 3, "prompt_length": 2}


def whole(split):
    return torch.cat([split.inputs, split.labels["targets"][..., -1:]], -1)


def places(dataset, rows):
    """Index of each completion among all of them, by its digits."""
    length = dataset.truth.completions.shape[1]
    digits = rows[..., -length:]
    return (digits * dataset.num_outputs ** torch.arange(length - 1, -1, -1)).sum(-1)


def test_sequences():
    dataset = bradley_terry(generator=generator(), **SMALL)
    assert dataset.input_shape == (2, 4) and dataset.num_outputs == 3
    for split in splits(dataset):
        rows, mask = whole(split), split.labels["mask"]
        assert torch.equal(split.inputs[..., 1:], split.labels["targets"][..., :-1])
        assert (rows[:, 0, :2] == rows[:, 1, :2]).all()  # one prompt
        assert torch.equal(dataset.truth.prompts[split.labels["prompt_ids"]], rows[:, 0, :2])
        assert mask.tolist() == [[[False, True, True, True]] * 2] * len(split)
        counts = split.labels["prompt_ids"].bincount(minlength=9)
        assert counts.max() - counts.min() <= 1
        found = dataset.truth.rewards[split.labels["prompt_ids"].unsqueeze(1), places(dataset, rows)]
        torch.testing.assert_close(split.labels["reward_margins"], (found[:, 0] - found[:, 1]).float())
    assert [len(split) for split in splits(dataset)] == [2000, 1000, 2000]


def test_rewards_are_sums_over_symbols_and_neighbours():  # of the form: differences of differences vanish
    truth = bradley_terry(generator=generator(), **SMALL).truth
    reward = {
        (tuple(p.tolist()), tuple(y.tolist())): truth.rewards[i, j].item()
        for i, p in enumerate(truth.prompts)
        for j, y in enumerate(truth.completions)
    }
    # The first symbol and the last are no neighbours: what changing one adds does not depend on the other.
    for p in (0, 2):
        one = reward[(0, p), (0, 1, 0)] - reward[(0, p), (2, 1, 0)]
        other = reward[(0, p), (0, 1, 1)] - reward[(0, p), (2, 1, 1)]
        assert one == pytest.approx(other) and one != pytest.approx(0)
    # Only the last symbol of the prompt counts, up to the mean of the prompt.
    a = truth.rewards.view(3, 3, -1)
    torch.testing.assert_close(a[0], a[1])
    # A neighbour does matter.
    first = reward[(0, 0), (0, 1, 0)] - reward[(0, 0), (0, 1, 1)]
    assert first != pytest.approx(reward[(0, 0), (0, 2, 0)] - reward[(0, 0), (0, 2, 1)])
    p = truth.log_p.exp()
    torch.testing.assert_close(p.sum(1), torch.ones(9, dtype=torch.float64))
    torch.testing.assert_close((p * truth.rewards).sum(1), torch.zeros(9, dtype=torch.float64))
    torch.testing.assert_close((p * truth.rewards.square()).sum(1).mean().item(), 4.0)


def test_completions_have_their_frequencies():
    dataset = bradley_terry(generator=generator(), num_examples=60_000, num_symbols=2, completion_length=2)
    for rows, asked in (
        (whole(dataset.train).flatten(0, 1), dataset.train.labels["prompt_ids"].repeat_interleave(2)),
        (dataset.samples[0], dataset.samples[0][:, 0]),
    ):
        for prompt in range(2):
            own = places(dataset, rows)[asked == prompt]
            found = own.bincount(minlength=4).double() / len(own)
            expected = dataset.truth.log_p[prompt].exp()
            assert ((found - expected).abs() < 5 * (expected / len(own)).sqrt() + 1e-9).all()


def test_preferences_have_their_probabilities():
    dataset = bradley_terry(generator=generator(), num_examples=60_000, num_symbols=2, completion_length=2)
    rows, asked = whole(dataset.train), dataset.train.labels["prompt_ids"]
    ends = places(dataset, rows)
    checked = 0
    for prompt in range(2):
        for a in range(4):
            for b in range(a):
                there = (asked == prompt) & (ends.sort(1).values == torch.tensor([b, a])).all(1)
                if there.sum() < 500:
                    continue
                gap = dataset.truth.rewards[prompt, a] - dataset.truth.rewards[prompt, b]
                found = (ends[there, 0] == a).double().mean()
                assert abs(found - gap.sigmoid()) < 5 * 0.5 / there.sum().sqrt()
                checked += 1
    assert checked > 4


def test_rankings():  # the first of three is drawn with softmax probabilities, the second as of a pair
    small = {"num_symbols": 2, "completion_length": 2, "completions": 3, "reward_scale": 1.0, "concentration": 5.0}
    dataset = bradley_terry(generator=generator(), num_examples=200_000, **small)
    rows, asked = whole(dataset.train), dataset.train.labels["prompt_ids"]
    assert rows.shape == (200_000, 3, 3) and dataset.validation.inputs.shape[1] == 2
    ends, checked = places(dataset, rows), 0
    for prompt in range(2):
        for triple in ([0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]):
            there = (asked == prompt) & (ends.sort(1).values == torch.tensor(triple)).all(1)
            if there.sum() < 2000:
                continue
            checked += 1
            r = dataset.truth.rewards[prompt]
            noise = 0.5 / there.sum().sqrt()
            for first in triple:
                won = ends[there, 0] == first
                assert abs(won.double().mean() - r[triple].softmax(0)[triple.index(first)]) < 5 * noise
                a, b = (y for y in triple if y != first)
                if won.sum() > 500:
                    second = (ends[there][won][:, 1] == a).double().mean()
                    assert abs(second - (r[a] - r[b]).sigmoid()) < 5 * 0.5 / won.sum().sqrt()
    assert checked > 6


def test_better_and_off_policy():
    dataset = bradley_terry(generator=generator(), preferences="better")
    assert all((split.labels["reward_margins"] >= 0).all() for split in splits(dataset))
    drawn = bradley_terry(generator=generator())
    assert (drawn.train.labels["reward_margins"] < 0).any()
    other = bradley_terry(generator=generator(), off_policy=1.0)
    assert torch.equal(other.samples[0][:, 0].sort().values, drawn.samples[0][:, 0].sort().values)
    half = bradley_terry(generator=generator(), off_policy=0.5)
    mixed = (drawn.truth.log_p.exp() + other.truth.log_p.exp()) / 2
    torch.testing.assert_close(half.truth.log_p.exp(), mixed)
    assert (drawn.truth.log_p - other.truth.log_p).abs().max() > 0.5


def test_without_memory():  # a completion's reward and log-probability are sums over its symbols, wherever they stand
    truth = bradley_terry(generator=generator(), memory=False, **SMALL).truth
    at = {tuple(y.tolist()): i for i, y in enumerate(truth.completions)}
    for values in (truth.rewards, truth.log_p):
        torch.testing.assert_close(values[0], values[5])  # the prompt says nothing
        for y, i in at.items():
            torch.testing.assert_close(values[0, i], values[0, at[tuple(sorted(y))]])  # nor does the order
            mean = sum(values[0, at[s, s, s]] for s in y) / 3
            torch.testing.assert_close(values[0, i], mean)
    assert truth.rewards[0].std() > 0.5


def test_the_generator_decides():
    first, again, other = (bradley_terry(generator=generator(seed)) for seed in (0, 0, 1))
    for one, two in zip(splits(first), splits(again), strict=True):
        assert torch.equal(one.inputs, two.inputs)
    assert torch.equal(first.truth.rewards, again.truth.rewards)
    assert not torch.equal(first.validation.inputs, other.validation.inputs)
    assert not torch.equal(first.truth.rewards, other.truth.rewards)


def test_too_many():
    with pytest.raises(UsageError, match="can be enumerated"):
        bradley_terry(generator=generator(), num_symbols=10, completion_length=6)
