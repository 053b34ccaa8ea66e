"""Metrics under attack: what is left of the accuracy, on the whole and for the weakest classes, and the margins."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.classification import accuracy, class_counts, worst_class_accuracy
from lossbench.metrics.ranking import nan_unless, precise
from lossbench.ops import margin

TAIL = 0.3  # of the classes, rounded up


def robustness_metrics(
    clean_logits: Float[Tensor, "N C"], attacked_logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"]
) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors on the device of the logits.

    clean_logits      [N, C] of the unperturbed inputs
    attacked_logits   [N, C] of the same inputs under attack
    Returns  robust_accuracy; worst_class_robust_accuracy; tail_robust_accuracy; margin and robust_margin, the means of
             z_y - max_{c != y} z_c, clean and under attack
    """
    targets = targets.long()
    predicted = attacked_logits.argmax(-1)
    hits, occurrences, _ = class_counts(predicted, targets, attacked_logits.shape[-1])
    values = {
        "robust_accuracy": accuracy(predicted, targets),
        "worst_class_robust_accuracy": worst_class_accuracy(hits, occurrences),
        "tail_robust_accuracy": tail_accuracy(hits, occurrences),
        "margin": margin(precise(clean_logits), targets).mean(),
        "robust_margin": margin(precise(attacked_logits), targets).mean(),
    }
    return nan_unless(clean_logits.isfinite().all() & attacked_logits.isfinite().all(), values)


def tail_accuracy(hits: Int[Tensor, "C"], occurrences: Int[Tensor, "C"]) -> Float[Tensor, ""]:
    """Mean accuracy of the 30 % of the classes that occur with the lowest, rounded up to whole classes.

    Source      'RA-Tail-30' of Sow et al. 2023, arXiv:2308.00311: the 30 % worst classes
    """
    present = occurrences > 0
    ordered = torch.where(present, precise(hits) / occurrences, 2).sort().values  # 2: after every accuracy
    number = (TAIL * precise(present).sum() - 1e-9).ceil()
    chosen = torch.arange(len(hits), device=hits.device) < number
    return torch.where(chosen, ordered, 0).sum() / number
