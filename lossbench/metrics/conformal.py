"""Metrics of thresholds that make prediction sets: how many right labels the sets hold, and how large they are."""

from jaxtyping import Float
from torch import Tensor

from lossbench.metrics.ranking import nan_unless, precise


def threshold_metrics(
    thresholds: Float[Tensor, "N"], scores: Float[Tensor, "N"], *, level: float
) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors.

    thresholds  [N] largest nonconformity score of each prediction set        scores  [N] those of the right labels
    level       wanted coverage
    Returns     coverage, the part of the scores that are at most the threshold; coverage_gap, its distance to level;
                mean_threshold, half the mean width where scores are absolute errors; pinball, the quantile loss
    """
    thresholds, scores = precise(thresholds), precise(scores)
    coverage = precise(scores <= thresholds).mean()
    excess = scores - thresholds
    values = {
        "coverage": coverage,
        "coverage_gap": (coverage - level).abs(),
        "mean_threshold": thresholds.mean(),
        "pinball": (level * excess.clamp(min=0) + (1 - level) * (-excess).clamp(min=0)).mean(),
    }
    return nan_unless(thresholds.isfinite().all() & scores.isfinite().all(), values)
