"""Best-of-n of a tabular policy, against sums over all draws."""

import itertools
import math

import pytest
import torch

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.preferences import PreferenceDataset, split_of
from lossbench.errors import UsageError
from lossbench.tasks.best_of_n import BestOfN
from lossbench.tasks.preference import Preference
from tests.datasets.support import generator
from tests.tasks.test_preference import CPU, SMALL, log_p, run, table


def single(dataset, policy, prompt):
    tokens = dataset.truth.prompts[prompt].tolist()
    return [math.exp(log_p(policy, tokens, y)) for y in itertools.product(range(3), repeat=2)]


def test_two_draws():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy, reference = table(dataset, 1), table(dataset, 2)
    asked = torch.arange(3)
    made = {f: BestOfN(dataset, CPU, reference=reference, n=2, kl_formula=f) for f in ("exact", "bound", "estimate")}
    task = made["exact"]
    own = task.single_logps(policy, asked)
    logps = task.policy_logps(own, asked)
    for prompt in range(3):
        p, rewards = single(dataset, policy, prompt), dataset.truth.rewards[prompt].tolist()
        best = [0.0] * 9
        for a, b in itertools.product(range(9), repeat=2):  # no two rewards are equal
            best[a if rewards[a] >= rewards[b] else b] += p[a] * p[b]
        assert logps[prompt].exp().tolist() == pytest.approx(best)
        kl = sum(q * math.log(q / o) for q, o in zip(best, p, strict=True))
        found = task.choice_kl(own, logps, asked)
        assert found[prompt].item() == pytest.approx(kl)
        said = sum(  # the formula, with e the probability of the one that was taken
            q
            * (
                (1 - e) ** 2 * (math.log(2) + math.log(1 - e) - 1 / 2)
                + (1 - (1 - e) ** 2) * math.log((2 * e - e * e) / e)
            )
            for q, e in zip(best, p, strict=True)
        )
        errors = {f: t.choice_kl_error(own, logps, found, asked)[prompt].item() for f, t in made.items()}
        assert errors["exact"] == 0 and errors["bound"] == pytest.approx(math.log(2) - 1 / 2 - kl)
        assert errors["estimate"] == pytest.approx(abs(said - kl), abs=1e-12)
        assert task.policy_rewards(logps, asked)[prompt].item() == pytest.approx(
            sum(q * r for q, r in zip(best, rewards, strict=True))
        )


def test_one_draw_is_the_policy():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy, reference = table(dataset, 1), table(dataset, 2)
    task, plain = BestOfN(dataset, CPU, reference=reference, n=1), Preference(dataset, CPU, reference=reference)
    asked = torch.arange(3)
    own = task.single_logps(policy, asked)
    torch.testing.assert_close(own, plain.policy_logps(policy, asked))
    torch.testing.assert_close(task.policy_logps(own, asked), own)


def test_run(tmp_path):  # of the reference: on best-of-n's own curve, below the best policy of this KL
    settings = {"loss": "dpo", "task": "best_of_n", "budget__steps": 1, "optimizer__lr": 1e-12}
    best = run(tmp_path, **settings, task__n=8, task__kl_formula="bound")["best"]
    assert best["test/choice_kl"] == pytest.approx(best["test/kl"], abs=1e-5)
    assert best["test/best_of_n_gap"] == pytest.approx(0, abs=2e-3)
    assert 0 <= best["test/choice_kl_error"] < 0.1 and best["test/win_rate"] == pytest.approx(8 / 9, abs=0.01)
    assert best["test/symbol_gap"] == pytest.approx(best["test/frontier_gap"] / 4) and best["test/frontier_gap"] > 0
    assert best["test/start_win_rate"] == pytest.approx(0.5) and "test/entangled" not in best


def test_refuses_data_without_a_truth():
    split = split_of(torch.tensor([[[0, 1, 2], [0, 2, 1]]]), torch.ones(1, 2).long(), torch.full((1, 2), 3), {})
    dataset = PreferenceDataset(split, split, split, num_outputs=3)
    with pytest.raises(UsageError, match="true reward"):
        BestOfN(dataset, CPU, reference=table(dataset))
