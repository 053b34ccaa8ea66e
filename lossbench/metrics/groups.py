"""Metrics of classification where every example belongs to a group: the worst group, and gaps between groups.

``group_metrics`` computes all of them from one table, the number of examples n[g, y, c] of group g, class y and
predicted class c. Groups without an example that a metric needs are left out of it; it is NaN where none is left.

Where the class is part of the group (class x colour), accuracies are what counts: the gaps, which are made for groups
that do not depend on the class, say little there.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.decisions import decision_costs
from lossbench.metrics.ranking import blocks, mean_where, nan_unless, precise
from lossbench.ops import kl_divergence


def group_metrics(
    logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"], groups: Int[Tensor, "N"], num_groups: int
) -> dict[str, Float[Tensor, ""]]:
    """All metrics by name, as 0-d tensors on the device of the logits.

    logits   [N, C] unnormalised scores        targets  [N] class indices        groups  [N] group indices
    Returns  worst_group_accuracy, mean_group_accuracy, demographic_parity_gap, equalized_odds_gap; of two classes also
             worst_group_auroc and group_auroc_gap
    """
    targets, groups = targets.long(), groups.long()
    table = confusion_by_group(logits.argmax(-1), targets, groups, num_groups, logits.shape[-1])
    accuracies = accuracy_by_group(table)
    values = {
        "worst_group_accuracy": lowest(accuracies),
        "mean_group_accuracy": mean_where(accuracies, ~accuracies.isnan()),
        "demographic_parity_gap": demographic_parity_gap(table),
        "equalized_odds_gap": equalized_odds_gap(table),
    }
    if logits.shape[-1] == 2:
        scores = precise(logits[:, 1]) - precise(logits[:, 0])
        of_groups = auroc_by_group(scores, targets == 1, groups, num_groups)
        values |= {"worst_group_auroc": lowest(of_groups), "group_auroc_gap": spread(of_groups)}
    return nan_unless(logits.isfinite().all(), values)


def counterfactual_metrics(
    logits: Float[Tensor, "N C"], counterfactual_logits: Float[Tensor, "N C"]
) -> dict[str, Float[Tensor, ""]]:
    """How much predictions depend on the protected attribute: counterfactual_divergence, the mean over the examples of
    KL(p || p'), where p' is what is predicted had the attribute been the other; 0 is counterfactual fairness."""
    log_p, log_other = (precise(z).log_softmax(-1) for z in (logits, counterfactual_logits))
    finite = logits.isfinite().all() & counterfactual_logits.isfinite().all()
    return nan_unless(finite, {"counterfactual_divergence": kl_divergence(log_p, log_other).mean()})


def superhuman_metrics(
    logits: Float[Tensor, "N C"],
    targets: Int[Tensor, "N"],
    groups: Int[Tensor, "N"],
    num_groups: int,
    demonstrations: Float[Tensor, "N J"],
) -> dict[str, Float[Tensor, ""]]:
    """superhuman: part of the others whose decisions cost no less than the model's in each of the ways of
    lossbench/decisions.py; the model decides for class 1 where its logit is the largest.

    Source  Memarrast et al. 2023, arXiv:2301.13420, gamma-superhuman; ties count, as in their code
    """
    decisions = precise(logits.argmax(-1) == 1).unsqueeze(0)
    own = decision_costs(decisions, targets.long(), groups.long(), num_groups)
    others = decision_costs(precise(demonstrations).mT, targets.long(), groups.long(), num_groups)
    return nan_unless(logits.isfinite().all(), {"superhuman": precise((own <= others).all(-1)).mean()})


def confusion_by_group(
    predicted: Int[Tensor, "N"], targets: Int[Tensor, "N"], groups: Int[Tensor, "N"], num_groups: int, num_classes: int
) -> Int[Tensor, "G C C"]:
    """Examples of each group, class and predicted class. By scatter_add of integers: exact, and no wait for a size."""
    places = (groups * num_classes + targets) * num_classes + predicted
    zeros = torch.zeros(num_groups * num_classes**2, dtype=torch.long, device=targets.device)
    return zeros.scatter_add(0, places, torch.ones_like(places)).reshape(num_groups, num_classes, num_classes)


def accuracy_by_group(table: Int[Tensor, "G C C"]) -> Float[Tensor, "G"]:
    """Accuracy within each group; NaN for a group without examples."""
    return precise(table.diagonal(dim1=-2, dim2=-1).sum(-1)) / table.sum((-2, -1))


def demographic_parity_gap(table: Int[Tensor, "G C C"]) -> Float[Tensor, ""]:
    """max_c (max_g P(predicted = c | g) - min_g P(predicted = c | g)), 0 to 1; 0 is parity.

    Source  of two classes, fairlearn's demographic_parity_difference, whichever class is the positive one
    """
    rates = precise(table.sum(-2)) / table.sum((-2, -1)).unsqueeze(-1)
    return highest(spread(rates.T))


def equalized_odds_gap(table: Int[Tensor, "G C C"]) -> Float[Tensor, ""]:
    """max_{y, c} of the gap between groups in P(predicted = c | y, g), 0 to 1; 0 is equalised odds.

    Source  of two classes, fairlearn's equalized_odds_difference: the larger of the gaps in the true and in the false
            positive rate; Hardt et al. 2016, arXiv:1610.02413
    """
    rates = precise(table) / table.sum(-1, keepdim=True)
    return highest(spread(rates.permute(1, 2, 0)).flatten())


def auroc_by_group(
    scores: Float[Tensor, "N"], positives: Bool[Tensor, "N"], groups: Int[Tensor, "N"], num_groups: int
) -> Float[Tensor, "G"]:
    """Area under the ROC curve within each group; NaN where a group lacks positives or negatives.

    The other groups' scores are put above all others, so that the ranks of the group are those within itself.
    """
    members = groups == torch.arange(num_groups, device=groups.device).unsqueeze(-1)
    ordered, order = torch.where(members, scores, torch.inf).sort(-1)
    first, last = blocks(ordered)
    own = (members & positives).gather(-1, order)
    count = own.sum(-1)
    negatives = members.sum(-1) - count
    twice = torch.where(own, first + last + 2, 0).sum(-1) - count * (count + 1)
    return precise(twice) / (2 * precise(count) * precise(negatives))


def lowest(values: Float[Tensor, "*k G"]) -> Float[Tensor, "*k"]:
    """The least of the values that are not NaN, along the last axis; NaN where all are."""
    least = torch.where(values.isnan(), torch.inf, values).amin(-1)
    return torch.where(least.isinf(), torch.nan, least)


def highest(values: Float[Tensor, "*k G"]) -> Float[Tensor, "*k"]:
    """The largest of the values that are not NaN, along the last axis; NaN where all are."""
    return -lowest(-values)


def spread(values: Float[Tensor, "*k G"]) -> Float[Tensor, "*k"]:
    """The largest less the least of the values that are not NaN, along the last axis; NaN where all are."""
    return highest(values) - lowest(values)
