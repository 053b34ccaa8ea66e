import itertools
import math

import pytest
import torch

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.variants.intransitive import intransitive
from tests.variants.support import generator

SMALL = {"num_symbols": 3, "completion_length": 2}


def pairs(split):
    """(prompt, better, worse) of every pair of a split, in symbols."""
    rows = torch.cat([split.inputs, split.labels["targets"][..., -1:]], -1)
    return [(pair[0][0], tuple(pair[0][1:]), tuple(pair[1][1:])) for pair in rows.tolist()]


def test_table():  # complementary, with the given deviation from the rewards, of its own for each prompt
    dataset = bradley_terry(generator=generator(), num_symbols=4, completion_length=3)
    truth = intransitive(dataset, generator(), scale=0.7).truth
    table = truth.preferences
    torch.testing.assert_close(table + table.mT, torch.ones_like(table))
    cycle = table.logit() - (truth.rewards[:, :, None] - truth.rewards[:, None, :])
    above = torch.ones(64, 64, dtype=torch.bool).triu(1)
    assert cycle[:, above].std().item() == pytest.approx(0.7, rel=0.05)
    assert cycle[:, above].mean().abs() < 0.05 and (cycle[0] - cycle[1]).abs().max() > 0.5
    assert torch.equal(truth.preference_table(), table) and truth.rewards is dataset.truth.rewards


def test_scale_zero_is_bradley_terry():
    dataset = bradley_terry(generator=generator(), **SMALL)
    made = intransitive(dataset, generator(), scale=0.0)
    torch.testing.assert_close(made.truth.preference_table(), dataset.truth.preference_table())
    rewards = dataset.truth.rewards[1].tolist()
    for a, b in itertools.product(range(9), repeat=2):
        wanted = 1 / (1 + math.exp(rewards[b] - rewards[a]))
        assert dataset.truth.preference_table()[1, a, b].item() == pytest.approx(wanted)


def test_pairs_are_ordered_by_the_table():  # as often as it says, and their margins are of the new order
    dataset = bradley_terry(generator=generator(), num_examples=20000, **SMALL)
    made = intransitive(dataset, generator(), scale=3.0)
    ends = {y: i for i, y in enumerate(itertools.product(range(3), repeat=2))}
    wins, expected, met = torch.zeros(3, 9, 9), made.truth.preferences, 0
    for prompt, better, worse in pairs(made.train):
        wins[prompt, ends[better], ends[worse]] += 1
    for prompt, a, b in itertools.product(range(3), range(9), range(9)):
        n = (wins[prompt, a, b] + wins[prompt, b, a]).item()
        if a != b and n >= 100:
            p = expected[prompt, a, b].item()
            assert abs(wins[prompt, a, b].item() / n - p) < 5 * math.sqrt(p * (1 - p) / n) + 1e-3
            met += 1
    assert met >= 20
    for split in (made.train, made.test):
        for (prompt, better, worse), margin in zip(pairs(split), split.labels["reward_margins"].tolist(), strict=True):
            rewards = made.truth.rewards[prompt]
            assert margin == pytest.approx((rewards[ends[better]] - rewards[ends[worse]]).item(), abs=1e-5)
    before = sorted((x, *sorted(y)) for x, *y in pairs(dataset.test))
    assert before == sorted((x, *sorted(y)) for x, *y in pairs(made.test))
    assert pairs(dataset.test) != pairs(made.test)


def test_refuses():
    with pytest.raises(UsageError, match="needs pairs whose true preferences"):
        intransitive(digits(generator=generator()), generator())
    with pytest.raises(UsageError, match="at most"):
        intransitive(bradley_terry(generator=generator(), num_symbols=10), generator())
