"""AnyLoss: one minus a metric of the confusion matrix, with soft counts from probabilities pushed towards 0 and 1.

    a = sigmoid(amplitude (sigmoid(logits) - 1/2))        the soft decision, [B, C]
    for each label, over the batch: TP = sum y a,  FN = sum y (1 - a),  FP = sum (1 - y) a,  TN = sum (1 - y) (1 - a)
    l = 1 - mean over the labels of
        f_measure          (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP)
        accuracy           (TP + TN) / B
        g_mean             sqrt(TP / (TP + FN) TN / (TN + FP))
        balanced_accuracy  (TP / (TP + FN) + TN / (TN + FP)) / 2

logits    [B, C] unnormalised scores            labels    [B, C] indicators y in [0, 1]
metric    which of the four
amplitude > 0: steepness of the soft decision; as it grows, the counts become those of the threshold 1/2
beta      > 0: recall counts beta times as much as precision; read by f_measure alone
Returns   [] one value for the batch, in [0, 1]. It does not add over micro-batches, and wants batches that hold
          positives (and negatives) of every label: a ratio without any counts as 0, with gradient 0
Numerics  ratios and the square root of 0 are kept from NaN. Bounded: both sigmoids saturate, so the gradient vanishes
          for confident scores, right or wrong, and at amplitude 73 is already small for |p - 1/2| > 1/4
Paper     Han, Moniz and Chawla 2024, arXiv:2405.14745, section 3; amplitude = 73 is its choice
Differs   the paper is binary; here each label is one binary problem and the metric is averaged over them (macro). The
          authors' code divides by zero (NaN) on a batch of one class, and its hand-written gradient of g_mean is 4
          times the true one
"""

from typing import Annotated, Literal

import torch
from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor


def any_loss(
    logits: Float[Tensor, "B C"],
    labels: Float[Tensor, "B C"],
    *,
    metric: Literal["f_measure", "accuracy", "g_mean", "balanced_accuracy"] = "f_measure",
    amplitude: Annotated[float, Gt(0)] = 73.0,
    beta: Annotated[float, Gt(0)] = 1.0,
) -> Float[Tensor, ""]:
    # a and 1 - a by a sigmoid each: the difference would round a small one to 0.
    margin = amplitude * (logits.sigmoid() - 0.5)
    yes, no = margin.sigmoid(), (-margin).sigmoid()
    true_positive, false_negative = (labels * yes).sum(0), (labels * no).sum(0)
    false_positive, true_negative = ((1 - labels) * yes).sum(0), ((1 - labels) * no).sum(0)
    recall = _ratio(true_positive, labels.sum(0))
    specificity = _ratio(true_negative, (1 - labels).sum(0))
    match metric:
        case "f_measure":
            hits = (1 + beta**2) * true_positive
            value = _ratio(hits, hits + beta**2 * false_negative + false_positive)
        case "accuracy":
            value = (true_positive + true_negative) / len(labels)
        case "g_mean":
            product = recall * specificity
            value = torch.where(product > 0, torch.where(product > 0, product, 1).sqrt(), 0)
        case "balanced_accuracy":
            value = (recall + specificity) / 2
    return 1 - value.mean()


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where there is nothing to divide by."""
    return part / torch.where(whole == 0, 1, whole)
