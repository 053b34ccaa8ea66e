"""Metrics of classification: accuracy, likelihood, calibration, per-class scores and ranking.

``classification_metrics`` computes all of them and shares the softmax, the sort and the counts; the functions below it
are the definitions one by one. Nothing waits for the device. Sums and probabilities are float64 (float32 on MPS).
A logit that is NaN or infinite anywhere makes every metric NaN; one that is undefined (AUROC of a single class) is NaN.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.metrics.ranking import auroc_per_row, column_slices, mean_where, nan_unless, precise, ranked

BINS = 15  # of the calibration errors, as in Guo et al. 2017


def classification_metrics(logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors on the device of the logits.

    logits   [N, C] unnormalised scores        targets  [N] class indices
    Returns  accuracy, top5_accuracy (more than 5 classes only), nll, brier, ece, ece_equal_mass, macro_f1,
             balanced_accuracy, worst_class_accuracy, auroc
    """
    targets = targets.long()
    log_p = precise(logits).log_softmax(-1)
    p = log_p.exp()
    predicted = logits.argmax(-1)
    correct = predicted == targets
    confidence = p.amax(-1)
    hits, occurrences, predictions = class_counts(predicted, targets, logits.shape[-1])
    values = {"accuracy": accuracy(predicted, targets)}
    if logits.shape[-1] > 5:
        values["top5_accuracy"] = top_k_accuracy(logits, targets, k=5)
    values |= {
        "nll": nll(log_p, targets),
        "brier": brier(p, targets),
        "ece": ece(confidence, correct),
        "ece_equal_mass": ece_equal_mass(confidence, correct),
        "macro_f1": macro_f1(hits, occurrences, predictions),
        "balanced_accuracy": balanced_accuracy(hits, occurrences),
        "worst_class_accuracy": worst_class_accuracy(hits, occurrences),
        "auroc": auroc(log_p, targets),  # the order of p, without the ties of probabilities that underflow
    }
    return nan_unless(logits.isfinite().all(), values)


def class_counts(
    predicted: Int[Tensor, "N"], targets: Int[Tensor, "N"], num_classes: int
) -> tuple[Int[Tensor, "C"], Int[Tensor, "C"], Int[Tensor, "C"]]:
    """Examples of each class: those predicted rightly, those whose target it is, those predicted as it.

    By scatter_add of integers: exact in any order, while bincount waits for the device to find its own length.
    """
    zeros = torch.zeros(num_classes, dtype=torch.long, device=targets.device)
    correct = (predicted == targets).long()
    ones = torch.ones_like(correct)
    return (
        zeros.scatter_add(0, targets, correct),
        zeros.scatter_add(0, targets, ones),
        zeros.scatter_add(0, predicted, ones),
    )


def accuracy(predicted: Int[Tensor, "N"], targets: Int[Tensor, "N"]) -> Float[Tensor, ""]:
    """Part of the examples whose predicted class is the target. Of equal largest logits, argmax takes the first."""
    return precise(predicted == targets).mean()


def top_k_accuracy(logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"], *, k: int) -> Float[Tensor, ""]:
    """Part of the examples whose target is among the k largest logits; of equal logits the lower class comes first.

    That is the order of argmax, so that k = 1 is the accuracy. (scikit-learn puts the higher class first.)
    """
    of_target = logits.gather(-1, targets.unsqueeze(-1))
    not_earlier = torch.arange(logits.shape[-1], device=logits.device) >= targets.unsqueeze(-1)
    # What is not before the target is counted, itself included: a comparison with NaN is false and must not help.
    not_before = (logits < of_target) | ((logits == of_target) & not_earlier)
    return precise(not_before.sum(-1) > logits.shape[-1] - k).mean()


def nll(log_p: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> Float[Tensor, ""]:
    """Negative log-likelihood, in nats: the mean of -log p_i[targets_i]."""
    return -precise(log_p.gather(-1, targets.unsqueeze(-1))).mean()


def brier(p: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> Float[Tensor, ""]:
    """Brier score, 0 to 2: the mean over the examples of sum_c (p_i[c] - [targets_i = c])^2.

    Source  Brier 1950: the sum over all classes, for two classes twice the one-sided form
    """
    one_hot = targets.unsqueeze(-1) == torch.arange(p.shape[-1], device=p.device)
    return (precise(p) - precise(one_hot)).square().sum(-1).mean()


def _calibration_error(
    bins: Int[Tensor, "N"], confidence: Float[Tensor, "N"], correct: Bool[Tensor, "N"], num_bins: int
) -> Float[Tensor, ""]:
    """sum_b n_b / N |accuracy_b - confidence_b| = 1 / N sum_b |sum of (correct_i - confidence_i) over i in b|."""
    gap = correct.to(confidence.dtype) - confidence
    members = bins == torch.arange(num_bins, device=bins.device).unsqueeze(-1)
    # A masked sum instead of a scatter: the same order of additions, so the same bits, on every run.
    return torch.where(members, gap, 0).sum(-1).abs().sum() / len(gap)


def ece(confidence: Float[Tensor, "N"], correct: Bool[Tensor, "N"], *, num_bins: int = BINS) -> Float[Tensor, ""]:
    """Expected calibration error over bins of equal width: bin m holds the confidences in ((m - 1) / M, m / M].

    confidence  [N] probability of the predicted class        correct  [N] whether it is the target
    Returns     sum_m n_m / N |accuracy of bin m - mean confidence of bin m|
    Source      Guo et al. 2017, arXiv:1706.04599, section 2
    """
    confidence = precise(confidence)
    bins = (confidence * num_bins).ceil().long().clamp(1, num_bins) - 1
    return _calibration_error(bins, confidence, correct, num_bins)


def ece_equal_mass(
    confidence: Float[Tensor, "N"], correct: Bool[Tensor, "N"], *, num_bins: int = BINS
) -> Float[Tensor, ""]:
    """Expected calibration error over bins of equal mass: example i in order of confidence is in bin floor(i M / N).

    The sizes of the bins differ by at most one; with fewer examples than bins, each example is a bin of its own. Equal
    confidences keep the order of the examples (stable sort), so a tie that straddles a bin's edge is split by position.
    Source      Roelofs et al. 2022, arXiv:2012.08668, who find it less biased than bins of equal width
    """
    confidence, order = precise(confidence).sort(stable=True)
    count = len(confidence)
    bins = torch.arange(count, device=confidence.device) * num_bins // max(count, 1)
    return _calibration_error(bins, confidence, correct.gather(0, order), num_bins)


def macro_f1(hits: Int[Tensor, "C"], occurrences: Int[Tensor, "C"], predictions: Int[Tensor, "C"]) -> Float[Tensor, ""]:
    """Mean over the classes of F1 = 2 hits / (occurrences + predictions), from ``class_counts``.

    Classes that are neither a target nor a prediction are left out.
    Source      scikit-learn's f1_score(average="macro")
    """
    total = occurrences + predictions
    return mean_where(2 * precise(hits) / total, total > 0)


def balanced_accuracy(hits: Int[Tensor, "C"], occurrences: Int[Tensor, "C"]) -> Float[Tensor, ""]:
    """Mean over the classes that occur of their accuracy, hits / occurrences.

    Source      scikit-learn's balanced_accuracy_score
    """
    return mean_where(precise(hits) / occurrences, occurrences > 0)


def worst_class_accuracy(hits: Int[Tensor, "C"], occurrences: Int[Tensor, "C"]) -> Float[Tensor, ""]:
    """Accuracy of the class that occurs and has the lowest. NaN where no class occurs."""
    # 0 / 0 is NaN for a class that does not occur; 2 is above every accuracy, and stays only without examples.
    lowest = torch.where(occurrences > 0, precise(hits) / occurrences, 2).amin()
    return torch.where(lowest > 1, torch.nan, lowest)


def auroc(scores: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> Float[Tensor, ""]:
    """Area under the ROC curve, each class against the rest, mean over the classes; a tie counts one half.

    Classes without a positive or without a negative are left out; NaN where none is left.
    scores      [N, C] anything in the order of the probabilities of each class (not logits: they lack the normaliser)
    Source      scikit-learn's roc_auc_score(multi_class="ovr", average="macro"); Hanley and McNeil 1982
    """
    parts = []
    for columns in column_slices(*scores.shape):
        classes = torch.arange(columns.start, columns.stop, device=targets.device)
        parts.append(auroc_per_row(ranked(scores[:, columns].T, targets == classes.unsqueeze(-1))))
    per_class = torch.cat(parts)
    return mean_where(per_class, ~per_class.isnan())
