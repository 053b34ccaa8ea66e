import math

import torch

from lossbench.games import preferred_to
from lossbench.losses.preference.nash_md import nash_md
from tests.losses.support import extreme, near, sample, stacked
from tests.test_games import game

WORDS = ("enumerated_logps", "old_enumerated_logps", "ref_enumerated_logps", "preference_table")


def test_limit():  # eta beta = 1: the mixture is the reference, whatever the old policy
    own, old, ref, table = sample(*WORDS)
    near(nash_md(own, old, ref, table, beta=0.5, eta=2.0), nash_md(own, ref, ref, table, beta=0.2, eta=2.0))


def test_oracle():  # the value by loops over probabilities, and the minimum in closed form
    def loop(own, old, ref, table, beta, eta):
        values = []
        for p, o, r, t in zip(own.exp(), old.exp(), ref.exp(), table, strict=True):
            mix = o ** (1 - eta * beta) * r ** (eta * beta)
            mix = mix / mix.sum()
            total = sum(p[y] * mix[z] * t[z, y] for y in range(len(p)) for z in range(len(p)))
            values.append(total + (p * torch.log(p / mix)).sum() / eta)
        return torch.stack(values)

    values = sample(*WORDS)
    near(nash_md(*values, beta=0.3, eta=1.5), loop(*values, 0.3, 1.5))
    ref, table = game()
    old = game(seed=1)[0]
    mix = (0.85 * old + 0.15 * ref).log_softmax(0)
    best = (mix + 1.5 * preferred_to(mix, table)).log_softmax(0).requires_grad_()
    nash_md(*(t.unsqueeze(0) for t in (best, old, ref, table)), beta=0.1, eta=1.5).sum().backward()
    near(best.grad, 0.0, 1e-12)


def test_hand():  # two completions, the first always preferred; the mixture is even, pi takes the second
    table = torch.tensor([[[0.5, 1.0], [0.0, 0.5]]], dtype=torch.float64)
    even = torch.full((1, 2), -math.log(2), dtype=torch.float64)
    second = torch.tensor([[-800.0, 0.0]], dtype=torch.float64)
    near(nash_md(second, even, even, table, beta=0.1, eta=4.0), 0.75 + math.log(2) / 4)


def test_extreme():
    far = torch.tensor([[-6e4, 0.0, 0.0], [0.0, -6e4, 6e4]])
    table = torch.tensor([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]]).expand(2, -1, -1)
    extreme(nash_md, far, far.flip(1), torch.zeros(2, 3), table)


def test_stacked():
    stacked(nash_md, beta=[0.1, 0.3, 0.0], eta=[1.0, 0.1, 2.0])
