"""Metrics of regression: errors in the original units, explained variance, and correlations.

``regression_metrics`` computes all of them; the functions below it are the definitions one by one. With several
outputs, each metric is the unweighted mean over the outputs. Nothing waits for the device. Sums are float64 (float32 on
MPS). A prediction or target that is NaN or infinite anywhere makes every metric NaN.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.metrics.ranking import mid_ranks, nan_unless, precise


def regression_metrics(
    predictions: Float[Tensor, "N P"], targets: Float[Tensor, "N P"], scale: Float[Tensor, "P"] | None = None
) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors on the device of the predictions.

    predictions, targets  [N, P], both standardised in the same way
    scale    [P] the size of one standardised unit in original units, > 0; None: the units are the original ones
    Returns  mse, rmse, mae in original units; r2, pearson, spearman, which have no unit
    """
    # The shift between the units cancels in errors; r2 and correlations do not depend on the units at all.
    predictions, targets = precise(predictions), precise(targets)
    errors = predictions - targets
    if scale is not None:
        errors = errors * precise(scale)
    values = {
        "mse": mse(errors),
        "rmse": rmse(errors),
        "mae": mae(errors),
        "r2": r2(predictions, targets),
        "pearson": pearson(predictions, targets),
        "spearman": spearman(predictions, targets),
    }
    return nan_unless(predictions.isfinite().all() & targets.isfinite().all(), values)


def mse(errors: Float[Tensor, "N P"]) -> Float[Tensor, ""]:
    """Mean squared error: the mean of errors^2 over examples and outputs."""
    return precise(errors).square().mean()


def rmse(errors: Float[Tensor, "N P"]) -> Float[Tensor, ""]:
    """Root mean squared error: sqrt(mean of errors^2 over the examples), then the mean over the outputs.

    Source  scikit-learn's root_mean_squared_error (not the root of ``mse`` where there are several outputs)
    """
    return precise(errors).square().mean(0).sqrt().mean()


def mae(errors: Float[Tensor, "N P"]) -> Float[Tensor, ""]:
    """Mean absolute error: the mean of |errors| over examples and outputs."""
    return precise(errors).abs().mean()


def r2(predictions: Float[Tensor, "N P"], targets: Float[Tensor, "N P"]) -> Float[Tensor, ""]:
    """Coefficient of determination: 1 - sum (y - prediction)^2 / sum (y - mean y)^2, mean over the outputs.

    An output whose targets are all equal counts 1 if it is predicted exactly, otherwise 0. NaN for a single
    example.
    Source  scikit-learn's r2_score
    """
    predictions, targets = precise(predictions), precise(targets)
    residual = (targets - predictions).square().sum(0)
    total = (targets - targets.mean(0)).square().sum(0)
    per_output = torch.where(_constant(targets), (residual == 0).to(total.dtype), 1 - residual / total)
    return per_output.mean() if len(targets) >= 2 else per_output.new_full((), torch.nan)


def pearson(predictions: Float[Tensor, "N P"], targets: Float[Tensor, "N P"]) -> Float[Tensor, ""]:
    """Pearson's correlation of predictions and targets, mean over the outputs.

    NaN where the predictions or targets of an output are all equal: a collapsed model has no correlation.
    """
    predictions, targets = precise(predictions), precise(targets)
    a, b = predictions - predictions.mean(0), targets - targets.mean(0)
    # Each side is divided by its own norm first: the product of the squares could underflow.
    a, b = a / a.square().sum(0).sqrt(), b / b.square().sum(0).sqrt()
    undefined = _constant(predictions) | _constant(targets)
    return torch.where(undefined, torch.nan, (a * b).sum(0).clamp(-1, 1)).mean()


def spearman(predictions: Float[Tensor, "N P"], targets: Float[Tensor, "N P"]) -> Float[Tensor, ""]:
    """Spearman's rank correlation: ``pearson`` of the ranks, equal values sharing the mean of their ranks."""
    return pearson(mid_ranks(predictions.T).T, mid_ranks(targets.T).T)


def _constant(values: Float[Tensor, "N P"]) -> Bool[Tensor, "P"]:
    # By comparison: the sum of squares of a constant column need not be 0, because its mean is rounded.
    return (values == values[:1]).all(0)
