"""Against Fractions over all draws, sampling, and the limits of the formulas."""

import itertools
import math
from fractions import Fraction

import pytest
import torch

from lossbench.metrics.best_of_n import best_of_n, best_of_n_curve, kl_bound, kl_estimate
from tests.metrics.test_preference import draws

P = [Fraction(1, 2), Fraction(1, 8), Fraction(1, 4), Fraction(1, 8)]
REWARDS = [1, 3, 2, 2]  # the last two tie


def exact(n):
    """Every n draws with their probability; of the best ones each is selected with the same chance."""
    found = [Fraction(0)] * 4
    for drawn in itertools.product(range(4), repeat=n):
        best = max(REWARDS[i] for i in drawn)
        winners = [i for i in drawn if REWARDS[i] == best]
        for i in winners:
            found[i] += math.prod((P[j] for j in drawn), start=Fraction(1)) / len(winners)
    return found


def tensors():
    log_p = torch.tensor([[float(p) for p in P]], dtype=torch.float64).log()
    return log_p, torch.tensor([REWARDS], dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_all_draws(n):
    found = best_of_n(*tensors(), n).exp()
    torch.testing.assert_close(found, torch.tensor([[float(p) for p in exact(n)]], dtype=torch.float64))


def kl(log_q, log_p):
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def test_kl_is_at_most_the_bound():
    rewards, log_p, _ = draws()
    for n in (1, 1.5, 2, 4, 64, 1e4):
        chosen = best_of_n(log_p, rewards, n)
        torch.testing.assert_close(chosen.exp().sum(-1), torch.ones(2, dtype=torch.float64))
        assert (kl(chosen, log_p) <= kl_bound(n) + 1e-12).all()
    assert kl_bound(2.0).item() == pytest.approx(math.log(2) - 0.5)


def test_bound_is_reached_without_atoms():  # 100,000 equally likely completions, all of different rewards
    log_p = torch.full((1, 100_000), -math.log(100_000), dtype=torch.float64)
    rewards = torch.randperm(100_000, generator=torch.Generator().manual_seed(0)).double().unsqueeze(0)
    found = kl(best_of_n(log_p, rewards, 8), log_p)
    assert found.item() == pytest.approx(kl_bound(8).item(), rel=1e-4)


def test_estimate_by_hand():  # n = 2, e = 1/2: 1/4 (log 2 + log 1/2 - 1/2) + 3/4 log(3/2)
    found = kl_estimate(torch.tensor(0.5, dtype=torch.float64).log(), 2)
    assert found.item() == pytest.approx(-1 / 8 + 3 / 4 * math.log(3 / 2))


def test_estimate_in_its_limits():
    small, one = torch.tensor([-40.0, 0.0], dtype=torch.float64)
    for n in (1, 2, 16):
        assert kl_estimate(small, n).item() == pytest.approx(kl_bound(n).item(), abs=1e-9)
        assert kl_estimate(one, n).item() == pytest.approx(0, abs=1e-12)
    assert kl_estimate(torch.tensor(-1.0).double(), 1).item() == pytest.approx(0, abs=1e-12)


def test_estimate_is_nearer_than_the_bound():  # four symbols, as the claim has it
    log_p, rewards = tensors()
    for n in (2, 4, 8, 16, 32, 64):
        chosen = best_of_n(log_p, rewards + torch.arange(4) / 10, n)
        true, estimate = kl(chosen, log_p), (chosen.exp() * kl_estimate(log_p, n)).sum(-1)
        assert (estimate - true).abs() < (kl_bound(n) - true).abs(), n


def test_curve_begins_at_the_policy_and_ends_at_the_best():
    rewards, log_p, _ = draws()
    curve = best_of_n_curve(log_p, rewards)
    assert curve.kl[0].abs() < 1e-12
    assert curve.reward[0].item() == pytest.approx((log_p.exp() * rewards).sum(-1).mean().item())
    assert curve.reward[-1].item() == pytest.approx(rewards.max(-1).values.mean().item(), abs=1e-3)
    assert (curve.kl.diff() >= -1e-12).all() and (curve.reward.diff() >= -1e-12).all()


def test_completions_that_hardly_occur():  # e^-60 and e^-800 beside 1: none of the sums notices them
    log_p = torch.tensor([[-60.0, 0.0, -800.0]], dtype=torch.float64)
    chosen = best_of_n(log_p, torch.tensor([[3.0, 1.0, 2.0]], dtype=torch.float64), 4)
    assert chosen.isfinite().all()
    assert chosen[0, 0].item() == pytest.approx(math.log(4) - 60)  # 1 - (1 - e)^4 is 4 e


def test_gap_to_the_best_policy_vanishes_with_length():
    """A memoryless source of two symbols with an additive reward, by the number of ones: exact for every length."""
    from scipy.optimize import brentq
    from scipy.stats import binom

    def gap(length):
        ones = torch.arange(length + 1, dtype=torch.float64)
        log_p = torch.tensor(binom.logpmf(ones.numpy(), length, 0.3)).unsqueeze(0)
        rewards = ones.unsqueeze(0)
        chosen = best_of_n(log_p, rewards, math.exp(0.3 * length))
        have, reward = kl(chosen, log_p).item(), (chosen.exp() * rewards).sum().item()

        def tilted(beta):
            log_q = (log_p + beta * rewards).log_softmax(-1)
            return kl(log_q, log_p).item(), (log_q.exp() * rewards).sum().item()

        beta = brentq(lambda b: tilted(b)[0] - have, 0, 50)
        return (tilted(beta)[1] - reward) / length

    gaps = [gap(length) for length in (2, 8, 32, 128)]  # n from 1.8 to 5e16
    assert 0 < gaps[0] < gaps[1], "short completions say nothing about the limit"
    assert 0 < gaps[3] < gaps[2] < gaps[1] and gaps[3] < gaps[1] / 2
