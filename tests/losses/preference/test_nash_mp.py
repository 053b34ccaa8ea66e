import math

import torch

from lossbench.games import mirror_step, preferred_to
from lossbench.losses.preference.nash_mp import nash_mp
from tests.losses.support import extreme, near, sample, stacked
from tests.test_games import game, minimum

WORDS = ("enumerated_logps", "old_enumerated_logps", "ref_enumerated_logps", "preference_table")


def objective(p, q, old, ref, table, beta, eta):
    """P(q before p) + beta KL(p || ref) + beta / eta KL(p || old), by loops over probabilities."""
    total, n = 0.0, len(p)
    for y in range(n):
        for z in range(n):
            total += p[y] * q[z] * table[z][y]
        total += p[y] * (beta * math.log(p[y] / ref[y]) + beta / eta * math.log(p[y] / old[y]))
    return total


def test_oracle():  # the objective of the second step, whose opponent a general optimizer finds by the first one
    ref, table = game(4)
    old, own = (game(4, seed)[0] for seed in (1, 2))
    beta, eta = 0.3, 0.5
    given = [t.exp().tolist() for t in (old, ref)]
    half = minimum(lambda p: objective(p, given[0], *given, table.tolist(), beta, eta), 4).x
    expected = objective(own.exp().tolist(), half, *given, table.tolist(), beta, eta)
    found = nash_mp(*(t.unsqueeze(0) for t in (own, old, ref, table)), beta=beta, eta=eta)
    near(found, expected, 1e-6)


def test_minimum():  # of the loss, by gradients: the second step
    ref, table = game()
    old = game(seed=1)[0]
    half = mirror_step(old, ref, preferred_to(old, table), beta=0.1, eta=0.2)
    own = mirror_step(old, ref, preferred_to(half, table), beta=0.1, eta=0.2).requires_grad_()
    nash_mp(*(t.unsqueeze(0) for t in (own, old, ref, table)), beta=0.1, eta=0.2).sum().backward()
    near(own.grad, 0.0, 1e-12)


def test_limit():  # nobody preferred to anybody: a half, and the two KLs
    own, old, ref, _ = sample(*WORDS)
    kl = [(own.exp() * (own - other)).sum(-1) for other in (ref, old)]
    near(
        nash_mp(own, old, ref, torch.full((6, 10, 10), 0.5, dtype=torch.float64), beta=0.3, eta=0.6),
        0.5 + 0.3 * kl[0] + 0.5 * kl[1],
    )


def test_hand():  # two completions, the first always preferred; old and ref are even. half has odds exp(eta / (beta
    # (1 + eta)) * 1/2) = e, as P(y before old) is 3/4 and 1/4 and eta / (beta (1 + eta)) = 2; pi takes the first
    table = torch.tensor([[[0.5, 1.0], [0.0, 0.5]]], dtype=torch.float64)
    even = torch.full((1, 2), -math.log(2), dtype=torch.float64)
    first = torch.tensor([[0.0, -800.0]], dtype=torch.float64)
    q = math.e / (1 + math.e)
    near(nash_mp(first, even, even, table, beta=0.25, eta=1.0), 0.5 * q + 0.5 * math.log(2))


def test_extreme():
    far = torch.tensor([[-6e4, 0.0, 0.0], [0.0, -6e4, 6e4]])
    table = torch.tensor([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]]).expand(2, -1, -1)
    extreme(nash_mp, far, far.flip(1), torch.zeros(2, 3), table)


def test_stacked():
    stacked(nash_mp, beta=[0.1, 0.3, 1.0], eta=[0.2, 0.1, 2.0])
