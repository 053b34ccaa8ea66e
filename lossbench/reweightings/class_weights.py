"""What reweightings by class share: a weight for each class becomes one for each example, from some moment on."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Normalization = Literal["classes", "examples"]


def of_examples(
    weights: Float[Tensor, "C"],
    targets: Int[Tensor, "*b"],
    class_counts: Float[Tensor, "C"],
    progress: Float[Tensor, ""],
    normalization: Normalization,
    start: float | Tensor,
) -> Float[Tensor, "*b"]:
    """The weight of each example's class; 1 while progress < start.

    normalization   what the weights have mean 1 over: the classes, or the training examples
    """
    of_training = (class_counts * weights).sum() / class_counts.sum()
    mean = weights.mean() if normalization == "classes" else of_training
    return torch.where(torch.as_tensor(progress >= start), (weights / mean)[targets], 1)
