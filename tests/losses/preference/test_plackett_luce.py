import itertools
import math

import numpy
import pytest
import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.plackett_luce import plackett_luce
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("ranking_logps", "ref_ranking_logps")


def test_limit():  # two completions are a pair: dpo
    for seed in range(3):
        logps, ref = sample(*WORDS, R=2, seed=seed)
        expected = dpo(logps[:, 0], logps[:, 1], ref[:, 0], ref[:, 1], beta=0.3)
        near(plackett_luce(logps, ref, beta=0.3), expected)


def test_oracle():  # the product of choices, each among those that are left
    def loop(logps, ref, beta):
        losses = []
        for row, ref_row in zip(logps, ref, strict=True):
            r = [beta * (a - b) for a, b in zip(row, ref_row, strict=True)]
            p = 1.0
            for k in range(len(r)):
                p = p * torch.exp(r[k]) / sum(torch.exp(v) for v in r[k:])
            losses.append(-torch.log(p))
        return torch.stack(losses)

    same(plackett_luce, loop, beta=0.3)


def test_a_distribution_over_rankings():
    rewards = torch.tensor([0.5, -1.0, 2.0, 0.1], dtype=torch.float64)
    rankings = torch.tensor(list(itertools.permutations(range(4))))
    values = plackett_luce(rewards[rankings], torch.zeros(24, 4), beta=1.0)
    near((-values).exp().sum(), 1.0)


def minorise(rankings, items, steps):
    """Rewards of the highest likelihood by the minorise-maximise iteration of Hunter 2004, eq. 30."""
    strength = [1.0] * items
    for _ in range(steps):
        wins, weight = [0.0] * items, [0.0] * items
        for ranking in rankings:
            for k in range(len(ranking) - 1):
                wins[ranking[k]] += 1
                left = sum(strength[i] for i in ranking[k:])
                for i in ranking[k:]:
                    weight[i] += 1 / left
        strength = [w / v for w, v in zip(wins, weight, strict=True)]
    rewards = [math.log(s) for s in strength]
    return [r - sum(rewards) / items for r in rewards]


def test_maximum_of_the_likelihood():  # by another algorithm
    draw = numpy.random.default_rng(0)
    rankings = numpy.array([draw.permutation(5)[:4] for _ in range(60)])
    expected = minorise(rankings.tolist(), 5, 300)
    rewards = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([rewards], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        logps = rewards[torch.from_numpy(rankings)]
        loss = plackett_luce(logps, torch.zeros_like(logps), beta=1.0).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert (rewards - rewards.mean()).tolist() == pytest.approx(expected, abs=1e-5)


def test_hand():  # rewards log 2, 0, 0: 2/4, then 1/2
    logps = torch.tensor([[math.log(2), 0.0, 0.0]], dtype=torch.float64)
    near(plackett_luce(logps, torch.zeros_like(logps), beta=1.0), math.log(4))


def test_extreme():
    far = torch.tensor([[-6e4, 0.0, 6e4], [6e4, 0.0, -6e4]])
    extreme(plackett_luce, far, torch.zeros(2, 3))


def test_stacked():
    stacked(plackett_luce, beta=[0.01, 0.1, 1.0])
