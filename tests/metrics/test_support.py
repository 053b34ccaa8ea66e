"""Supports and answers counted with Python's sets, exact cases, and a table of probabilities."""

import math
from collections import Counter

import pytest
import torch

from lossbench.metrics.support import support_metrics


def by_sets(completions, solved, ref_completions, ref_solved):
    kept = lost = new = 0
    entropies = []
    for own, right, theirs, ref_right in zip(
        *map(torch.Tensor.tolist, (completions, solved, ref_completions, ref_solved)), strict=True
    ):
        now = {tuple(c) for c, r in zip(own, right, strict=True) if r}
        before = {tuple(c) for c, r in zip(theirs, ref_right, strict=True) if r}
        kept, lost, new = kept + len(now & before), lost + len(before - now), new + len(now - before)
        for rows in (own, theirs):
            counts = Counter(map(tuple, rows)).values()
            entropies.append(-sum(c / len(rows) * math.log(c / len(rows)) for c in counts))
    retention, discovery = kept / (kept + lost), new / (kept + new)
    return {
        "support_retention": retention,
        "net_discovery": discovery,
        "support_dynamics": 2 / (1 / retention + 1 / discovery),
        "net_support_change": (new - lost) / (kept + new + lost),
        "solutions": (kept + new) / len(completions),
        "start_solutions": (kept + lost) / len(completions),
        "answer_entropy": sum(entropies[::2]) / len(completions),
        "start_answer_entropy": sum(entropies[1::2]) / len(completions),
    }


def test_against_sets():
    generator = torch.Generator().manual_seed(0)
    own, theirs = (torch.randint(2, (5, n, 4), generator=generator) for n in (9, 13))
    rights = [rows.sum(-1) % 2 == 0 for rows in (own, theirs)]  # the same completion is right wherever it is written
    found = support_metrics(own, rights[0], theirs, rights[1])
    expected = by_sets(own, rights[0], theirs, rights[1])
    assert found.keys() == expected.keys()
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)


def test_hand():  # one prompt: right are 1, 2, 3. The policy writes 1 1 2 9, the reference 1 3 9 8
    rows = [torch.tensor(row).view(1, 4, 1) for row in ([1, 1, 2, 9], [1, 3, 9, 8])]
    found = support_metrics(rows[0], rows[0][..., 0] <= 3, rows[1], rows[1][..., 0] <= 3)
    expected = {"support_retention": 1 / 2, "net_discovery": 1 / 2, "support_dynamics": 1 / 2, "net_support_change": 0}
    expected |= {"solutions": 2, "start_solutions": 2, "answer_entropy": 1.5 * math.log(2)}
    expected |= {"start_answer_entropy": 2 * math.log(2)}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)


def test_the_same_completion_of_another_prompt_is_another_solution():
    rows, other = torch.tensor([[[1]], [[2]]]), torch.tensor([[[2]], [[1]]])
    right = torch.ones(2, 1, dtype=torch.bool)
    found = support_metrics(rows, right, other, right)
    assert float(found["support_retention"]) == 0 and float(found["net_discovery"]) == 1


def test_a_policy_that_has_not_moved_and_nothing_solved():
    rows = torch.arange(6).view(2, 3, 1)
    right = torch.ones(2, 3, dtype=torch.bool)
    same = support_metrics(rows, right, rows, right)
    none = support_metrics(rows, ~right, rows, ~right)
    for found in (same, none):
        assert [float(found[n]) for n in ("support_retention", "net_discovery", "net_support_change")] == [1, 0, 0]
        assert float(found["support_dynamics"]) == 0
    assert float(same["solutions"]) == 3 and float(none["solutions"]) == 0


def test_the_optimum_under_a_kl_stays_in_the_support():
    """pi ~ q exp(R / beta) has no solution that q has not, and by many samples loses none that it makes likelier."""
    q = torch.tensor([0.3, 0.3, 0.2, 0.2, 0.0])
    right = torch.tensor([True, True, False, False, True])
    pi = q * torch.exp(right / 0.5)
    generator = torch.Generator().manual_seed(0)
    own, theirs = (torch.multinomial(p, 2000, replacement=True, generator=generator).view(1, -1, 1) for p in (pi, q))
    found = support_metrics(own, right[own[..., 0]], theirs, right[theirs[..., 0]])
    assert float(found["support_retention"]) == 1 and float(found["net_discovery"]) == 0
    p = pi / pi.sum()
    exact = -float(torch.special.xlogy(p, p).sum())
    assert float(found["answer_entropy"]) == pytest.approx(exact, abs=0.05)
