"""Loops over pairs of completions; the frontier by a slow search."""

import math

import pytest
import torch
from scipy.optimize import brentq

from lossbench.metrics import preference
from lossbench.metrics.best_of_n import best_of_n


def draws(prompts=2, completions=7):
    draw = torch.Generator().manual_seed(0)
    rewards = torch.randn(prompts, completions, generator=draw, dtype=torch.float64).mul(2).round(decimals=1)
    rewards[:, 3] = rewards[:, 1]  # a tie
    ref = torch.randn(prompts, completions, generator=draw, dtype=torch.float64).log_softmax(-1)
    policy = torch.randn(prompts, completions, generator=draw, dtype=torch.float64).log_softmax(-1)
    return rewards, ref, policy


def test_pairs_by_hand():  # log-ratios 1, 0, -1 and 0, 0, 1: one pair right, one tie, one wrong
    chosen, rejected = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-2.0, -2.0, -2.0])
    ref_chosen, ref_rejected = torch.tensor([-2.0, -2.0, -2.0]), torch.tensor([-2.0, -2.0, -3.0])
    found = preference.preference_metrics(chosen, rejected, ref_chosen, ref_rejected)
    expected = {
        "accuracy": 0.5,
        "likelihood_accuracy": 0.5,
        "margin": (1 + 0 - 2) / 3,
        "chosen_logp": -2.0,
        "rejected_logp": -2.0,
        "chosen_shift": 0.0,
        "rejected_shift": 1 / 3,
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected)
    broken = preference.preference_metrics(chosen * math.nan, rejected, ref_chosen, ref_rejected)
    assert all(value.isnan() for value in broken.values())


def test_wins():
    rewards, ref, _ = draws()
    table = preference.win_table(rewards, ref)
    for p in range(2):
        for y in range(7):
            scores = [
                1.0 if rewards[p, y] > rewards[p, z] else 0.5 * (rewards[p, y] == rewards[p, z]) for z in range(7)
            ]
            wins = sum(math.exp(ref[p, z]) * scores[z] for z in range(7))
            assert table[p, y].item() == pytest.approx(wins)
    against_itself = (ref.exp() * table).sum(-1)
    torch.testing.assert_close(against_itself, torch.full((2,), 0.5, dtype=torch.float64))


def test_ties_of_sums_in_another_order():
    rewards = torch.tensor([[0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1]], dtype=torch.float64)
    assert rewards[0, 0] != rewards[0, 1]
    table = preference.win_table(rewards, torch.tensor([[0.25, 0.75]]).double().log())
    torch.testing.assert_close(table, torch.full((1, 2), 0.5, dtype=torch.float64))


def test_frontier():  # the optimum for the beta that has this KL, found by a root finder
    rewards, ref, _ = draws()
    made = preference.frontier(rewards, ref)

    def optimum(beta):
        log_p = (ref + rewards / beta).log_softmax(-1)
        return (log_p.exp() * (log_p - ref)).sum(-1).mean().item(), (log_p.exp() * rewards).sum(-1).mean().item()

    for kl in (0.01, 0.2, 0.7):
        beta = brentq(lambda b, kl=kl: optimum(b)[0] - kl, 0.01, 1000)
        found = preference.reward_at(made, torch.tensor(kl, dtype=torch.float64))
        assert found.item() == pytest.approx(optimum(beta)[1], abs=1e-4)
    assert made.start.item() == pytest.approx((ref.exp() * rewards).sum(-1).mean().item())
    best = rewards.max(-1).values.mean()
    assert preference.reward_at(made, torch.tensor(50.0).double()).item() == pytest.approx(best.item())
    assert preference.reward_at(made, torch.tensor(0.0).double()).item() == pytest.approx(made.start.item(), abs=1e-2)


def test_no_policy_is_above_the_frontier():
    rewards, ref, policy = draws()
    made = preference.frontier(rewards, ref)
    for part in (0.1, 0.5, 1.0):
        mixed = ((1 - part) * ref.exp() + part * policy.exp()).log()
        kl = (mixed.exp() * (mixed - ref)).sum(-1)
        values = (mixed.exp() * rewards).sum(-1)
        found = preference.policy_metrics(values, values, kl, values, values, made)
        assert found["frontier_gap"] > -1e-6
        assert "best_of_n_gap" not in found
        assert found["reward_gain"].item() == pytest.approx((values.mean() - made.start).item())


def test_best_of_n_is_on_its_own_curve_and_below_the_frontier():
    rewards, ref, _ = draws()
    best, most = preference.best_of_n_frontier(rewards, ref), preference.frontier(rewards, ref)
    for n in (1, 3, 20):
        chosen = best_of_n(ref, rewards, n)
        kl, values = (chosen.exp() * (chosen - ref)).sum(-1), (chosen.exp() * rewards).sum(-1)
        found = preference.policy_metrics(values, values, kl, values, values, most, best)
        assert found["best_of_n_gap"].item() == pytest.approx(0, abs=2e-3)
        assert found["frontier_gap"] > -1e-6
    assert best.start.item() == pytest.approx(most.start.item())


def test_top_tokens():
    k = preference.TOP
    uniform = torch.zeros(1, 2, 8)
    entropy, mass = preference.top_tokens(uniform, torch.ones(1, 2, dtype=torch.bool))[0]
    assert entropy.item() == pytest.approx(math.log(k)) and mass.item() == pytest.approx(k / 8)
    sure = torch.tensor([[[50.0, 0, 0, 0, 0, 0, 0, 0], [math.nan] * 8]])  # the second token does not count
    entropy, mass = preference.top_tokens(sure, torch.tensor([[True, False]]))[0]
    assert entropy.item() == pytest.approx(0, abs=1e-6) and mass.item() == pytest.approx(1)
    # Fewer tokens than k: all of them, a fair coin.
    entropy, mass = preference.top_tokens(torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.bool))[0]
    assert entropy.item() == pytest.approx(math.log(2)) and mass.item() == pytest.approx(1)
    found = preference.token_metrics(torch.tensor([[1.0, 0.5], [2.0, 0.9]]))
    assert (found["top_entropy"].item(), found["top_mass"].item()) == pytest.approx((1.5, 0.7))


def test_gradients_by_hand():
    # |g|, |h| = 2, 1 at a right angle; 1, 3 with <g, h> = 2 > 1: entangled; the third was not looked at
    products = torch.tensor([[4.0, 0.0, 1.0], [1.0, 2.0, 9.0], [math.nan] * 3])
    found = {name: value.item() for name, value in preference.gradient_metrics(products).items()}
    expected = {"gradient_cosine": (0 + 2 / 3) / 2, "gradient_ratio": math.sqrt(2 / 3), "entangled": 0.5}
    assert found == pytest.approx(expected)
    assert all(value.isnan() for value in preference.gradient_metrics(products[2:]).values())


def test_information_entropy():
    _, ref, policy = draws()
    log_y = torch.full((2,), math.log(7), dtype=torch.float64)
    torch.testing.assert_close(preference.information_entropy(ref - ref), log_y)
    found = preference.information_entropy(policy - ref)
    for p in range(2):
        ratios = [math.exp(a) / math.exp(b) for a, b in zip(policy[p].tolist(), ref[p].tolist(), strict=True)]
        shares = [ratio / sum(ratios) for ratio in ratios]
        assert found[p].item() == pytest.approx(-sum(q * math.log(q) for q in shares))


def test_agreement():  # of an implicit reward that is the reward times a number: 1; weighted by the reference
    rewards, ref, policy = draws()
    torch.testing.assert_close(preference.agreement(3 * rewards + 1, rewards, ref), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(preference.agreement(-rewards, rewards, ref), -torch.ones(2, dtype=torch.float64))
    assert not preference.agreement(torch.zeros_like(rewards), rewards, ref).any()
    found = preference.agreement(policy - ref, rewards, ref)
    for p in range(2):
        weights, a, b = ref[p].exp().tolist(), (policy - ref)[p].tolist(), rewards[p].tolist()
        mean_a = sum(w * v for w, v in zip(weights, a, strict=True))
        mean_b = sum(w * v for w, v in zip(weights, b, strict=True))
        cov = sum(w * (u - mean_a) * (v - mean_b) for w, u, v in zip(weights, a, b, strict=True))
        var_a = sum(w * (u - mean_a) ** 2 for w, u in zip(weights, a, strict=True))
        var_b = sum(w * (v - mean_b) ** 2 for w, v in zip(weights, b, strict=True))
        assert found[p].item() == pytest.approx(cov / math.sqrt(var_a * var_b))
