"""Group metrics against loops over the examples, scikit-learn, and fairlearn where it is installed."""

import math

import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score

from lossbench.decisions import decision_costs
from lossbench.metrics.collect import to_floats
from lossbench.metrics.groups import counterfactual_metrics, group_metrics, superhuman_metrics
from tests.metrics.support import random


def cases():
    draw = torch.Generator().manual_seed(3)
    logits, targets = random(300, 2), torch.randint(2, (300,), generator=draw)
    groups = torch.randint(4, (300,), generator=draw)
    rare = torch.multinomial(torch.tensor([90.0, 9, 1, 0]), 300, True, generator=draw)
    many = random(300, 5)
    return {
        "random": (logits, targets, groups),
        "learned": (logits + 2 * torch.nn.functional.one_hot(targets, 2), targets, groups),
        "rare and missing groups": (logits, targets, rare),
        "tied": (logits.round(), targets, groups),
        "one group": (logits, targets, torch.zeros(300, dtype=torch.long)),
        "class in the group": (logits, targets, 2 * targets + groups % 2),
        "five classes": (many, torch.randint(5, (300,), generator=draw), groups),
        "all equal": (torch.zeros(300, 2), targets, groups),
        "bfloat16": (logits.bfloat16(), targets, groups),
    }


def by_hand(logits, targets, groups, num_groups):
    """The same numbers from loops and lists."""
    rows = [row.index(max(row)) for row in logits.double().tolist()]
    examples = list(zip(rows, targets.tolist(), groups.tolist(), strict=True))
    num_classes = logits.shape[-1]

    def rate(event, given):
        chosen = [e for e in examples if given(e)]
        return sum(map(event, chosen)) / len(chosen) if chosen else None

    def gap(rates):
        known = [r for r in rates if r is not None]
        return max(known) - min(known) if known else None

    accuracies = [rate(lambda e: e[0] == e[1], lambda e, g=g: e[2] == g) for g in range(num_groups)]
    known = [a for a in accuracies if a is not None]
    parity, odds = [], []
    for c in range(num_classes):
        parity.append(gap([rate(lambda e, c=c: e[0] == c, lambda e, g=g: e[2] == g) for g in range(num_groups)]))
        for y in range(num_classes):
            of_groups = [
                rate(lambda e, c=c: e[0] == c, lambda e, g=g, y=y: e[2] == g and e[1] == y) for g in range(num_groups)
            ]
            odds.append(gap(of_groups))
    found = {
        "worst_group_accuracy": min(known),
        "mean_group_accuracy": sum(known) / len(known),
        "demographic_parity_gap": max(p for p in parity if p is not None),
        "equalized_odds_gap": max(o for o in odds if o is not None),
    }
    if num_classes == 2:
        scores = (logits[:, 1].double() - logits[:, 0].double()).numpy()
        areas = []
        for g in range(num_groups):
            own = (groups == g).numpy()
            if len(set(targets[own].tolist())) == 2:
                areas.append(roc_auc_score(targets[own], scores[own]))
        found |= {
            "worst_group_auroc": min(areas, default=math.nan),
            "group_auroc_gap": max(areas) - min(areas) if areas else math.nan,
        }
    return found


@pytest.mark.parametrize("case", cases())
def test_oracle(case):
    logits, targets, groups = cases()[case]
    assert to_floats(group_metrics(logits, targets, groups, 4)) == pytest.approx(
        by_hand(logits, targets, groups, 4), abs=1e-12, nan_ok=True
    )


@pytest.mark.parametrize("case", [name for name, (logits, *_) in cases().items() if logits.shape[-1] == 2])
def test_fairlearn(case):
    fairlearn = pytest.importorskip("fairlearn.metrics", reason="fairlearn is not installed")
    logits, targets, groups = cases()[case]
    if case == "class in the group":
        pytest.skip("fairlearn calls a rate without examples 0; here it is left out")
    found = to_floats(group_metrics(logits, targets, groups, 4))
    own = {"y_true": targets.numpy(), "y_pred": logits.argmax(-1).numpy(), "sensitive_features": groups.numpy()}
    assert found["demographic_parity_gap"] == pytest.approx(fairlearn.demographic_parity_difference(**own))
    if case != "rare and missing groups":
        assert found["equalized_odds_gap"] == pytest.approx(fairlearn.equalized_odds_difference(**own))
    frame = fairlearn.MetricFrame(
        metrics=lambda y_true, y_pred: (y_true == y_pred).mean(),
        y_true=own["y_true"],
        y_pred=own["y_pred"],
        sensitive_features=own["sensitive_features"],
    )
    assert found["worst_group_accuracy"] == pytest.approx(frame.group_min())


def test_hand():
    # group 0: predicted 1 0 1, targets 1 0 0; group 1: predicted 0 0, targets 1 0
    predicted, targets, groups = [1, 0, 1, 0, 0], torch.tensor([1, 0, 0, 1, 0]), torch.tensor([0, 0, 0, 1, 1])
    found = to_floats(group_metrics(torch.eye(2)[predicted], targets, groups, 2))
    assert found["worst_group_accuracy"] == pytest.approx(1 / 2)
    assert found["mean_group_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["demographic_parity_gap"] == pytest.approx(2 / 3)  # 2/3 of group 0, none of group 1
    assert found["equalized_odds_gap"] == pytest.approx(1.0)  # true positives: all of group 0, none of group 1
    assert found["worst_group_auroc"] == pytest.approx(1 / 2)  # group 1 is tied; group 0: (1 + 1/2) / 2
    assert found["group_auroc_gap"] == pytest.approx(1 / 4)


def test_counterfactual_divergence():  # scipy's relative entropy; none where nothing changes; by hand for one example
    logits, other = random(50, 3), random(50, 3, seed=1)
    expected = entropy(logits.double().softmax(-1).numpy(), other.double().softmax(-1).numpy(), axis=-1).mean()
    assert counterfactual_metrics(logits, other)["counterfactual_divergence"].item() == pytest.approx(expected)
    assert counterfactual_metrics(logits, logits)["counterfactual_divergence"].item() == 0
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    found = counterfactual_metrics(p, q)["counterfactual_divergence"].item()
    assert found == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-6)
    assert math.isnan(counterfactual_metrics(p, q * torch.inf)["counterfactual_divergence"])


def test_superhuman():
    """Others: two who are right everywhere, one who is wrong everywhere. Right decisions cost no more than anybody's,
    wrong ones no more than the one who is as wrong; otherwise the costs are compared one by one."""
    targets, groups = torch.tensor([1, 0, 1, 0, 1, 0]), torch.tensor([0, 0, 0, 1, 1, 1])
    others = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0], [1, 0, 1], [0, 1, 0]]).float()
    right = torch.eye(2)[targets]
    assert superhuman_metrics(right, targets, groups, 2, others)["superhuman"].item() == 1.0
    wrong = superhuman_metrics(right.flip(1), targets, groups, 2, others)["superhuman"].item()
    assert wrong == pytest.approx(1 / 3)
    one_wrong = right.clone()
    one_wrong[0] = torch.tensor([1.0, 0.0])
    costs = [decision_costs(d[None], targets, groups, 2)[0] for d in (one_wrong.argmax(1).float(), *others.T)]
    expected = sum(bool((costs[0] <= other).all()) for other in costs[1:]) / 3
    assert superhuman_metrics(one_wrong, targets, groups, 2, others)["superhuman"].item() == pytest.approx(expected)


def test_broken_model_is_nan():
    logits = torch.zeros(4, 2)
    logits[1, 0] = torch.nan
    found = to_floats(group_metrics(logits, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]), 2))
    assert all(math.isnan(value) for value in found.values())
