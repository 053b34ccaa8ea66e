"""Metrics of detection: how well a score tells outliers (or anomalies) from the examples that a model was made for.

``outlier_metrics`` scores two splits by the logits of a classifier; ``detection_metrics`` judges any score. A larger
score means more of an outlier, and outliers are the positives:
    auroc   probability that an outlier scores above an inlier, a tie counting one half; 0.5 is chance
    aupr    average precision; chance is the share of the outliers
    fpr95   share of the outliers that pass at the lowest threshold that lets at least 95 % of the inliers pass
Nothing waits for the device. A logit that is NaN or infinite anywhere makes every metric NaN.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.metrics.ranking import (
    Ranked,
    auroc_per_row,
    average_precision_per_row,
    nan_unless,
    precise,
    ranked,
)
from lossbench.ops import normalize


def outlier_metrics(logits: Float[Tensor, "N C"], outlier_logits: Float[Tensor, "M C"]) -> dict[str, Float[Tensor, ""]]:
    """'<score>_<metric>' for every score of ``outlier_scores`` and every metric of ``detection_metrics``."""
    both = torch.cat([logits, outlier_logits])
    outliers = torch.arange(len(both), device=both.device) >= len(logits)
    values = {
        f"{score}_{metric}": value
        for score, scores in outlier_scores(both).items()
        for metric, value in detection_metrics(scores, outliers).items()
    }
    return nan_unless(both.isfinite().all(), values)


def outlier_scores(logits: Float[Tensor, "N C"]) -> dict[str, Float[Tensor, "N"]]:
    """How much of an outlier each example is, by its logits z with probabilities p:

    max_softmax   in the order of -max p (Hendrycks and Gimpel 2017, arXiv:1610.02136), given as log((1 - p) / p):
                  probabilities that round to 1 would be ties
    max_logit     -max z (Hendrycks et al. 2022, arXiv:1911.11132)
    energy        -log sum_c exp z_c, at temperature 1 (Liu et al. 2020, arXiv:2010.03759)
    entropy       -sum_c p_c log p_c
    """
    logits = precise(logits)
    largest, place = logits.max(-1, keepdim=True)
    others = logits.scatter(-1, place, -torch.inf).logsumexp(-1)
    log_p = logits.log_softmax(-1)
    return {
        "max_softmax": others - largest.squeeze(-1),
        "max_logit": -largest.squeeze(-1),
        "energy": -logits.logsumexp(-1),
        "entropy": -(log_p.exp() * log_p).sum(-1),
    }


def detection_metrics(scores: Float[Tensor, "N"], outliers: Bool[Tensor, "N"]) -> dict[str, Float[Tensor, ""]]:
    """auroc, aupr and fpr95; NaN where there is no outlier or no inlier, or where a score is NaN."""
    rows = ranked(scores.unsqueeze(0), outliers.unsqueeze(0))
    values = {"auroc": auroc_per_row(rows)[0], "aupr": average_precision_per_row(rows)[0], "fpr95": fpr95(rows)[0]}
    return nan_unless(~scores.isnan().any() & outliers.any() & ~outliers.all(), values)


def fpr95(rows: Ranked) -> Float[Tensor, "K"]:
    """Share of the outliers with a score at or below the lowest threshold that at least 95 % of the inliers are at or
    below.

    Source  Liang et al. 2018, arXiv:1706.02690, section 4: FPR at 95 % TPR with the inliers as the positives; the
            threshold is a score that occurs, without interpolation
    """
    outliers = rows.positives.cumsum(-1).gather(-1, rows.last)  # at or below each place
    inliers = (~rows.positives).cumsum(-1).gather(-1, rows.last)
    enough = 100 * inliers >= 95 * inliers[..., -1:]
    return precise(torch.where(enough, outliers, rows.positives.shape[-1]).amin(-1)) / outliers[..., -1]


def mahalanobis(features: Float[Tensor, "N D"], known: Float[Tensor, "M D"]) -> Float[Tensor, "N"]:
    """Squared Mahalanobis distance of each example to the mean of the known ones.

    Features are given unit length, then the mean 0 and the deviation 1 of the known ones; the covariance is inverted
    where it is not 0.
    Source  Sehwag, Chiang and Mittal 2021, arXiv:2103.12051 (SSD), with one cluster, as in arXiv:2402.02653
    """
    points, others = normalize(precise(features)), normalize(precise(known))
    mean, std = others.mean(0), others.std(0, correction=0)
    std = torch.where(std > 0, std, 1)
    points, others = (points - mean) / std, (others - mean) / std
    inverse = torch.linalg.pinv(others.T @ others / len(others), hermitian=True)
    return ((points @ inverse) * points).sum(-1)


def target_anomaly_metrics(
    logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"], anomalies: Bool[Tensor, "N"]
) -> dict[str, Float[Tensor, ""]]:
    """'anomaly_<metric>' where an anomaly is a target that does not belong to its input, scored by -log p of it."""
    scores = -precise(logits).log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return {f"anomaly_{name}": value for name, value in detection_metrics(scores, anomalies).items()}


def constant_divergence(logits: Float[Tensor, "N C"], class_counts: Float[Tensor, "C"]) -> Float[Tensor, ""]:
    """Mean Kullback-Leibler divergence, in nats, of the predictions from the best constant prediction.

        KL(p || q) = sum_c p_c (log p_c - log q_c)        q_c = share of class c in the training set

    q minimises the mean cross-entropy among all predictions that do not look at the input.
    Source  Kang, Setlur, Tomlin and Levine 2024, arXiv:2310.00873: the distance to the optimal constant solution
    """
    log_p = precise(logits).log_softmax(-1)
    log_q = precise(class_counts).log() - precise(class_counts).sum().log()
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def outlier_and_shift_metrics(
    splits: Mapping[str, Mapping[str, Tensor]], class_counts: Float[Tensor, "C"]
) -> dict[str, Float[Tensor, ""]]:
    """What the further splits of a classification data set say, as ``test_metrics`` returns it.

    outlier_<score>_<metric>            the split outliers against test
    constant_divergence                 of test; <split>/constant_divergence of each further split
    corrupted_accuracy,                 means over the splits corrupted_<kind>_<severity>
    corrupted_constant_divergence
    """
    further = [name for name in splits if name not in ("train", "validation", "test")]
    found = {
        f"{name}/constant_divergence": constant_divergence(splits[name]["logits"], class_counts) for name in further
    }
    corrupted = [name for name in further if name.startswith("corrupted_")]
    if corrupted:
        divergences = torch.stack([found[f"{name}/constant_divergence"] for name in corrupted])
        found["corrupted_constant_divergence"] = divergences.mean()
        correct = [precise(splits[n]["logits"].argmax(-1) == splits[n]["targets"]).mean() for n in corrupted]
        found["corrupted_accuracy"] = torch.stack(correct).mean()
    if "outliers" in splits:
        metrics = outlier_metrics(splits["test"]["logits"], splits["outliers"]["logits"])
        found |= {f"outlier_{name}": value for name, value in metrics.items()}
    return {"constant_divergence": constant_divergence(splits["test"]["logits"], class_counts), **found}
