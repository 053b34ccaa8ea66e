"""The tail of the losses: how bad the worst examples are, which a mean hides."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.ranking import nan_unless, precise


def tail_metrics(logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> dict[str, Float[Tensor, ""]]:
    """The tail of the negative log-likelihood, as 0-d tensors.

    Returns  nll_worst_percent: the mean of the worst 1 % of the examples, the conditional value at risk at that level
    """
    losses = -precise(logits).log_softmax(-1).gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)
    return nan_unless(logits.isfinite().all(), {"nll_worst_percent": mean_of_worst(losses, percent=1)})


def mean_of_worst(losses: Float[Tensor, "N"], *, percent: int) -> Float[Tensor, ""]:
    """Mean of this part of the losses, the largest ones; their number is rounded up, so that there is at least one."""
    return torch.topk(losses, -(-percent * len(losses) // 100)).values.mean()
