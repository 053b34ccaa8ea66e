"""Metrics of multi-label classification: exact and per-label agreement, likelihood, and the ranking of the labels.

``multilabel_metrics`` computes all of them; the functions below it are the definitions one by one. A label is predicted
where its logit is above 0 (probability above 1/2), and is a positive where its indicator is above 1/2. Nothing waits
for the device. Sums are float64 (float32 on MPS). A logit that is NaN or infinite anywhere makes every metric NaN.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from lossbench.metrics.ranking import (
    auroc_per_row,
    average_precision_per_row,
    blocks,
    column_slices,
    mean_where,
    nan_unless,
    precise,
    ranked,
)


def multilabel_metrics(logits: Float[Tensor, "N C"], labels: Float[Tensor, "N C"]) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors on the device of the logits.

    logits   [N, C] unnormalised scores        labels  [N, C] indicators in [0, 1]
    Returns  subset_accuracy, hamming_accuracy, micro_f1, macro_f1, mean_average_precision, auroc, nll, brier,
             coverage_error, label_ranking_loss
    """
    predicted = logits > 0
    positives = labels > 0.5
    counts = label_counts(predicted, positives)
    average_precisions, aurocs = ranking_per_label(logits, positives)
    values = {
        "subset_accuracy": subset_accuracy(predicted, positives),
        "hamming_accuracy": hamming_accuracy(predicted, positives),
        "micro_f1": micro_f1(*counts),
        "macro_f1": macro_f1(*counts),
        "mean_average_precision": mean_where(average_precisions, ~average_precisions.isnan()),
        "auroc": mean_where(aurocs, ~aurocs.isnan()),
        "nll": nll(logits, labels),
        "brier": brier(logits, labels),
        "coverage_error": coverage_error(logits, positives),
        "label_ranking_loss": label_ranking_loss(logits, positives),
    }
    return nan_unless(logits.isfinite().all(), values)


def label_counts(
    predicted: Bool[Tensor, "N C"], positives: Bool[Tensor, "N C"]
) -> tuple[Int[Tensor, "C"], Int[Tensor, "C"], Int[Tensor, "C"]]:
    """Examples of each label: those predicted rightly to have it, those that have it, those predicted to have it."""
    return (predicted & positives).sum(0), positives.sum(0), predicted.sum(0)


def subset_accuracy(predicted: Bool[Tensor, "N C"], positives: Bool[Tensor, "N C"]) -> Float[Tensor, ""]:
    """Part of the examples whose labels are all predicted rightly.

    Source  scikit-learn's accuracy_score on indicators
    """
    return precise((predicted == positives).all(-1)).mean()


def hamming_accuracy(predicted: Bool[Tensor, "N C"], positives: Bool[Tensor, "N C"]) -> Float[Tensor, ""]:
    """Part of all the indicators that are predicted rightly: one minus scikit-learn's hamming_loss."""
    return precise((predicted == positives).sum()) / predicted.numel()


def micro_f1(hits: Int[Tensor, "C"], occurrences: Int[Tensor, "C"], predictions: Int[Tensor, "C"]) -> Float[Tensor, ""]:
    """F1 of all labels together, 2 sum hits / sum (occurrences + predictions), from ``label_counts``; 0 / 0 is 0.

    Source  scikit-learn's f1_score(average="micro")
    """
    return 2 * precise(hits.sum()) / (occurrences + predictions).sum().clamp(min=1)


def macro_f1(hits: Int[Tensor, "C"], occurrences: Int[Tensor, "C"], predictions: Int[Tensor, "C"]) -> Float[Tensor, ""]:
    """Mean over all labels of F1 = 2 hits / (occurrences + predictions), from ``label_counts``; 0 / 0 is 0.

    Source  scikit-learn's f1_score(average="macro") on indicators, where (unlike for single labels) a label that
            neither occurs nor is predicted counts, with 0
    """
    return (2 * precise(hits) / (occurrences + predictions).clamp(min=1)).mean()


def ranking_per_label(
    scores: Float[Tensor, "N C"], positives: Bool[Tensor, "N C"]
) -> tuple[Float[Tensor, "C"], Float[Tensor, "C"]]:
    """Average precision and area under the ROC curve of each label's ranking of the examples, from one sort.

    The average precision is NaN for a label without positives, the area also for one without negatives; the means of
    ``multilabel_metrics`` leave these labels out. Definitions: lossbench/metrics/ranking.py.
    Source  scikit-learn's average_precision_score and roc_auc_score, per label
    """
    parts = [ranked(scores[:, columns].T, positives[:, columns].T) for columns in column_slices(*scores.shape)]
    return torch.cat([average_precision_per_row(p) for p in parts]), torch.cat([auroc_per_row(p) for p in parts])


def nll(logits: Float[Tensor, "N C"], labels: Float[Tensor, "N C"]) -> Float[Tensor, ""]:
    """Binary cross-entropy, in nats: the mean over examples and labels of -y log p - (1 - y) log(1 - p)."""
    return binary_cross_entropy_with_logits(precise(logits), precise(labels))


def brier(logits: Float[Tensor, "N C"], labels: Float[Tensor, "N C"]) -> Float[Tensor, ""]:
    """Brier score, 0 to 1: the mean over examples and labels of (p - y)^2, p = sigmoid(logit).

    Source  Brier 1950 in its one-sided form, half of the sum over the two outcomes; scikit-learn's brier_score_loss
    """
    return (precise(logits).sigmoid() - precise(labels)).square().mean()


def coverage_error(scores: Float[Tensor, "N C"], positives: Bool[Tensor, "N C"]) -> Float[Tensor, ""]:
    """How many labels, best first, must be taken to have all positives: the mean over the examples of
    |{c: s_c >= the lowest score of a positive}|; ties count in full, and an example without positives counts 0.

    Source  Tsoumakas et al. 2010, Mining Multi-label Data; scikit-learn's coverage_error
    """
    lowest = torch.where(positives, precise(scores), torch.inf).amin(-1, keepdim=True)
    return precise((precise(scores) >= lowest).sum(-1)).mean()


def label_ranking_loss(scores: Float[Tensor, "N C"], positives: Bool[Tensor, "N C"]) -> Float[Tensor, ""]:
    """Part of the pairs of a positive and a negative label in the wrong order, mean over the examples.

        1 / N sum_i |{(k, l): k positive, l negative, s_k <= s_l}| / (P_i Q_i)        0 where P_i Q_i = 0

    A tie counts as wrong.
    Source  Tsoumakas et al. 2010, Mining Multi-label Data; scikit-learn's label_ranking_loss
    """
    ordered, order = scores.sort(-1)
    _, last = blocks(ordered)
    positive = positives.gather(-1, order)
    not_above = positive.cumsum(-1).gather(-1, last)  # positives that score no higher than the label at each place
    wrong = torch.where(positive, 0, not_above).sum(-1)
    pairs = positives.sum(-1) * (~positives).sum(-1)
    return (precise(wrong) / pairs.clamp(min=1)).mean()
