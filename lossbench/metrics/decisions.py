"""Which labels an example gets: F1 where the threshold is tuned on validation.

Scores become probabilities in one of three ways; the way and the threshold that are best on validation are used on
test. So every loss is judged alike, whether its scores are meant for a sigmoid, a softmax or a sparsemax. Nothing waits
for the device or branches on the value of a tensor.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.metrics.multilabel import macro_f1, micro_f1
from lossbench.metrics.ranking import nan_unless, precise
from lossbench.ops import simplex_threshold

THRESHOLDS = tuple(i / 100 for i in range(1, 100))


def tuned_decisions(
    validation_logits: Float[Tensor, "V C"],
    validation_labels: Float[Tensor, "V C"],
    logits: Float[Tensor, "N C"],
    labels: Float[Tensor, "N C"],
) -> dict[str, Float[Tensor, ""]]:
    """tuned_micro_f1 and tuned_macro_f1 of test: a label is given where its probability is above the threshold.

    Thresholds are 0.01, 0.02 ... 0.99, one for all labels. Of equally good ones, the first way (sigmoid, softmax,
    sparsemax) and its lowest threshold are taken.
    Source  Martins and Astudillo 2016, arXiv:1602.02068: a threshold of the probabilities, tuned on held-out data
    """
    tuning = counts_at_thresholds(validation_logits, validation_labels > 0.5)
    measured = counts_at_thresholds(logits, labels > 0.5)
    values = {}
    for name, score in (("tuned_micro_f1", micro_f1), ("tuned_macro_f1", macro_f1)):
        best = torch.stack([score(*counts) for counts in tuning]).argmax()
        values[name] = torch.stack([score(*counts) for counts in measured]).gather(0, best.unsqueeze(0)).squeeze(0)
    finite = validation_logits.isfinite().all() & logits.isfinite().all()
    return nan_unless(finite, values)


def counts_at_thresholds(
    logits: Float[Tensor, "N C"], positives: Bool[Tensor, "N C"]
) -> list[tuple[Int[Tensor, "C"], Int[Tensor, "C"], Int[Tensor, "C"]]]:
    """For each way and threshold: hits, occurrences and predictions of each label."""
    logits, occurrences = precise(logits), positives.sum(0)
    found = []
    for p in (logits.sigmoid(), logits.softmax(-1), (logits - simplex_threshold(logits)).clamp(min=0)):
        for threshold in THRESHOLDS:
            given = p > threshold
            found.append(((given & positives).sum(0), occurrences, given.sum(0)))
    return found
