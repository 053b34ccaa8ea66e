"""Metrics of classification where the classes of the training set are of very different sizes.

Classes are ordered by their number of training examples, largest first; of equal ones the lower class comes first.
Head, medium and tail are thirds of the classes in this order: floor(C / 3) head, floor(C / 3) medium, the rest tail (3,
3, 4 of 10 and 33, 33, 34 of 100, as on CIFAR-10-LT and CIFAR-100-LT in Li and Zhang's code). Papers on ImageNet-LT and
CIFAR-100-LT have absolute bounds instead (Liu et al. 2019, arXiv:1904.05160: many-shot has more than 100 training
images, few-shot fewer than 20), which leave nearly everything in the tail where the whole data set is small.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.classification import class_counts as count_classes
from lossbench.metrics.ranking import mean_where, nan_unless, precise

IMBALANCED = 2.0  # a training set counts as imbalanced where its largest class is at least so many times its smallest
BORDERS = (0.25, 0.5, 0.75)  # parts of the classes that are head, over which the false head rate is averaged


def is_imbalanced(class_counts: Float[Tensor, "C"]) -> bool:
    """Whether the training set counts as imbalanced: then these metrics are reported."""
    return len(class_counts) > 1 and bool(class_counts.max() >= IMBALANCED * class_counts.min())


def long_tail_metrics(
    logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"], class_counts: Float[Tensor, "C"]
) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors on the device of the logits.

    class_counts   [C] training examples of each class
    Returns        head_accuracy, medium_accuracy (3 classes or more), tail_accuracy, false_head_rate
    """
    targets, predicted = targets.long(), logits.argmax(-1)
    ranks = class_ranks(class_counts)
    groups = thirds(ranks)
    hits, occurrences, _ = count_classes(predicted, targets, logits.shape[-1])
    names = ("head_accuracy", "medium_accuracy", "tail_accuracy")
    values = {name: group_accuracy(hits, occurrences, groups == i) for i, name in enumerate(names)}
    if logits.shape[-1] < 3:
        del values["medium_accuracy"]
    values["false_head_rate"] = false_head_rate(ranks[predicted], ranks[targets], logits.shape[-1])
    return nan_unless(logits.isfinite().all(), values)


def long_tail_precisions(
    average_precisions: Float[Tensor, "C"], class_counts: Float[Tensor, "C"]
) -> dict[str, Float[Tensor, ""]]:
    """Of a multi-label task: head_average_precision, medium_average_precision (3 labels or more) and
    tail_average_precision, the means over the labels of each third that have a positive (no NaN)."""
    groups = thirds(class_ranks(class_counts))
    names = ("head_average_precision", "medium_average_precision", "tail_average_precision")
    found = {
        name: mean_where(average_precisions, (groups == i) & ~average_precisions.isnan())
        for i, name in enumerate(names)
    }
    return {name: value for name, value in found.items() if len(groups) > 2 or name != "medium_average_precision"}


def class_ranks(class_counts: Float[Tensor, "C"]) -> Int[Tensor, "C"]:
    """Place of each class, from 0, in the order of the training examples: 0 is the largest class."""
    return class_counts.sort(descending=True, stable=True).indices.argsort()


def thirds(ranks: Int[Tensor, "C"]) -> Int[Tensor, "C"]:
    """0 for the classes of the head, 1 for medium, 2 for the tail. Of two classes, one is head and one tail."""
    third = max(len(ranks) // 3, 1)
    group = (ranks // third).clamp(max=2)
    return torch.where(ranks == len(ranks) - 1, 2, group)


def group_accuracy(hits: Int[Tensor, "C"], occurrences: Int[Tensor, "C"], members: Tensor) -> Float[Tensor, ""]:
    """Mean accuracy of those classes of a group that occur; every class weighs the same. NaN where none occurs."""
    return mean_where(precise(hits) / occurrences, members & (occurrences > 0))


def false_head_rate(
    predicted: Int[Tensor, "N"], targets: Int[Tensor, "N"], num_classes: int, *, borders: tuple[float, ...] = BORDERS
) -> Float[Tensor, ""]:
    """How often an example of a tail class is taken for one of a head class, mean over several borders between them.

        |{i: y_i >= b, prediction_i < b}| / |{i: y_i >= b}|        b = round(border C), halves upwards

    predicted, targets   [N] ranks of the classes: 0 is the one with the most training examples
    borders              a border without any example of its tail is left out
    Source  Li and Zhang 2023, arXiv:2303.06075, and its released code for the rounding
    """
    rates, defined = [], []
    for border in borders:
        first_of_tail = int(num_classes * border + 0.5)
        tail = targets >= first_of_tail
        rates.append(precise((tail & (predicted < first_of_tail)).sum()) / tail.sum())
        defined.append(tail.any())
    return mean_where(torch.stack(rates), torch.stack(defined))
