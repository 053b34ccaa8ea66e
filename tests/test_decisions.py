import pytest
import torch

from lossbench.decisions import decision_costs
from lossbench.metrics.groups import confusion_by_group, demographic_parity_gap, equalized_odds_gap
from tests.losses.support import near


def draw(n=200, m=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    decisions = (torch.rand(m, n, generator=generator, dtype=torch.float64) < 0.4).double()
    return decisions, torch.randint(2, (n,), generator=generator), torch.randint(3, (n,), generator=generator)


def by_hand(decisions, targets, groups):
    """The four costs from lists."""
    rows = list(zip(decisions.tolist(), targets.tolist(), groups.tolist(), strict=True))

    def gap(rate):
        found = [r for r in (rate([(d, y) for d, y, own in rows if own == g]) for g in range(3)) if r is not None]
        return max(found) - min(found) if found else 0.0

    def mean(values):
        return sum(values) / len(values) if values else None

    def predictive_value(own, decision):
        right = [y == d for d, y in own if d == decision]
        return None if not own else mean(right) if right else 0.0

    return [
        mean([d != y for d, y, _ in rows]),
        gap(lambda own: mean([d for d, _ in own])),
        max(gap(lambda own, t=t: mean([d for d, y in own if y == t])) for t in (0, 1)),
        max(gap(lambda own, v=v: predictive_value(own, v)) for v in (0, 1)),
    ]


@pytest.mark.parametrize("n", [200, 30])
def test_oracle(n):
    decisions, targets, groups = draw(n)
    found = decision_costs(decisions, targets, groups, 3)
    for row, own in zip(found, decisions, strict=True):
        near(row, by_hand(own, targets, groups))


def test_as_the_metrics_of_groups():
    decisions, targets, groups = draw()
    for row, own in zip(decision_costs(decisions, targets, groups, 3), decisions, strict=True):
        table = confusion_by_group(own.long(), targets, groups, 3, 2)
        near(row[1], demographic_parity_gap(table))
        near(row[2], equalized_odds_gap(table))


def test_hand():
    # group 0: decisions 1 1 0 0, targets 1 0 0 1; group 1: decisions 1 1 0, targets 1 1 0
    decisions = torch.tensor([[1.0, 1, 0, 0, 1, 1, 0]], dtype=torch.float64)
    targets, groups = torch.tensor([1, 0, 0, 1, 1, 1, 0]), torch.tensor([0, 0, 0, 0, 1, 1, 1])
    near(decision_costs(decisions, targets, groups, 2), [[2 / 7, 2 / 3 - 1 / 2, 1 / 2, 1 / 2]])
    near(decision_costs(torch.zeros(1, 7, dtype=torch.float64), targets, groups, 2)[0, :3], [4 / 7, 0.0, 0.0])


def test_missing_group_and_empty_decisions():
    targets, groups = torch.tensor([1, 0, 1]), torch.tensor([0, 0, 2])
    assert decision_costs(torch.zeros(2, 3), targets, groups, 4).isfinite().all()
    near(decision_costs(torch.ones(1, 3), targets, torch.zeros(3, dtype=torch.long), 4), [[1 / 3, 0, 0, 0]], 1e-6)
