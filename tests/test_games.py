"""Games of preferences against general optimizers, and by hand."""

import itertools
import math

import pytest
import torch
from scipy.optimize import linprog, minimize

from lossbench.games import exploitability, mirror_step, preferred_to, regularized_exploitability
from tests.losses.support import near


def game(n=6, seed=0, strength=2.0):
    """(reference, table) of random preferences that go in circles."""
    draw = torch.Generator().manual_seed(seed)
    ref = torch.randn(n, generator=draw, dtype=torch.float64).log_softmax(0)
    odds = strength * torch.randn(n, n, generator=draw, dtype=torch.float64)
    return ref, (odds - odds.mT).sigmoid()


def minimum(objective, n):
    """Of a function of probabilities, over the simplex, by a general optimizer."""
    constraint = {"type": "eq", "fun": lambda p: sum(p) - 1}
    options = {"ftol": 1e-15, "maxiter": 1000}
    return minimize(objective, [1 / n] * n, bounds=[(1e-9, 1)] * n, constraints=constraint, options=options)


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_mirror_step():
    ref, table = game(4, strength=3.0)
    old, q = game(4, 1)[0], game(4, 2)[0].exp()
    given, t = [p.exp().tolist() for p in (old, ref)], table.tolist()

    def objective(p):
        loses = sum(p[y] * q[z].item() * t[z][y] for y in range(4) for z in range(4))
        return loses + 0.2 * kl(p, given[1]) + 0.2 / 0.7 * kl(p, given[0])

    found = mirror_step(old, ref, preferred_to(q.log(), table), beta=0.2, eta=0.7).exp()
    near(found, minimum(objective, 4).x.tolist(), 1e-5)


@pytest.mark.parametrize("beta", [0.3, 0.1, 0.02])
def test_mirror_prox_converges(
    beta,
):  # with eta = 2 beta the KL to the equilibrium falls by 1 / (1 + 2 beta) a round or
    # more, whatever the number of completions
    for seed in range(3):
        ref, table = game(seed=seed)
        iterates = [ref]
        for _ in range(math.ceil(40 / math.log(1 + 2 * beta))):
            old = iterates[-1]
            half = mirror_step(old, ref, preferred_to(old, table), beta=beta, eta=2 * beta)
            iterates.append(mirror_step(old, ref, preferred_to(half, table), beta=beta, eta=2 * beta))
        last = iterates[-1]
        near(last, (ref + preferred_to(last, table) / beta).log_softmax(0), 1e-7)
        near(regularized_exploitability(last, ref, table, beta=beta), 0.0, 1e-7)
        distances = [kl(last.exp().tolist(), p.exp().tolist()) for p in iterates]
        for before, after in itertools.pairwise(distances):
            if before > 1e-10:
                assert after <= before / (1 + 2 * beta)


def test_exploitability():  # none at the equilibrium without a KL, which a linear program finds; by loops elsewhere
    _, table = game(5, strength=3.0)
    n, t = 5, table.tolist()
    bounds = linprog([0] * n, A_ub=(table - 0.5).numpy(), b_ub=[0] * n, A_eq=[[1] * n], b_eq=[1], bounds=(0, 1))
    equilibrium = torch.tensor(bounds.x, dtype=torch.float64)
    assert exploitability(equilibrium.log(), table).item() < 1e-7
    p = game(5, 3)[0]
    expected = max(sum(t[y][z] * p[z].exp().item() for z in range(n)) for y in range(n)) - 0.5
    near(exploitability(p, table), expected)
    assert expected > 0.05


def test_exploitability_by_hand():  # rock, paper, scissors with certain wins: always rock loses to paper always
    table = torch.tensor([[0.5, 0.0, 1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.5]], dtype=torch.float64)
    near(exploitability(torch.tensor([[0.0, -800, -800], [-math.log(3)] * 3], dtype=torch.float64), table), [0.5, 0.0])


def test_regularized_exploitability():  # the best answer by a general optimizer
    ref, table = game(4)
    p = game(4, 1)[0]
    own, reference, t = p.exp().tolist(), ref.exp().tolist(), table.tolist()

    def loses(answer):
        wins = sum(answer[y] * own[z] * t[y][z] for y in range(4) for z in range(4))
        return -wins + 0.3 * kl(answer, reference) - 0.3 * kl(own, reference)

    near(regularized_exploitability(p, ref, table, beta=0.3), -minimum(loses, 4).fun - 0.5, 1e-7)
