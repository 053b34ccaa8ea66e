"""Metrics of a model update: what a new model gets wrong that the old one had right."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.ranking import mean_where, precise


def flip_metrics(
    logits: Float[Tensor, "N C"], old_logits: Float[Tensor, "N K"], targets: Int[Tensor, "N"]
) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors.

    logits      [N, C] scores of the new model        old_logits  [N, K] of the old one, for the first K classes
    Returns     of the examples of the first K classes: negative_flip_rate, the part that the old model has right and
                the new one wrong; relative_negative_flip_rate, that over what it would be were the errors of the two
                independent, (1 - old error) (new error), 0 where that is 0; old_classes_accuracy; and of the others
                new_classes_accuracy
    Source      Yan et al. 2021, arXiv:2011.09161; Ricci et al. 2025, arXiv:2511.08322
    """
    known = targets < old_logits.shape[-1]
    was_right = old_logits.argmax(-1) == targets
    is_right = logits.argmax(-1) == targets
    flips = mean_where(precise(was_right & ~is_right), known)
    expected = mean_where(precise(was_right), known) * mean_where(precise(~is_right), known)
    values = {
        "negative_flip_rate": flips,
        "relative_negative_flip_rate": torch.where(expected == 0, 0, flips / expected),
        "old_classes_accuracy": mean_where(precise(is_right), known),
        "new_classes_accuracy": mean_where(precise(is_right), ~known),
    }
    valid = logits.isfinite().all() & old_logits.isfinite().all()
    return {name: torch.where(valid, value, torch.nan) for name, value in values.items()}
