"""The area under the precision-recall curve of binary problems."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.ranking import average_precision_per_row, nan_unless, precise, ranked


def precision_recall_metrics(logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> dict[str, Float[Tensor, ""]]:
    """average_precision of class 1 where there are two classes; nothing where there are more. NaN without positives."""
    if logits.shape[-1] != 2:
        return {}
    scores = precise(logits[:, 1]) - precise(logits[:, 0])
    found = average_precision_per_row(ranked(scores[None], targets[None] == 1))[0]
    return nan_unless(torch.isfinite(logits).all(), {"average_precision": found})
