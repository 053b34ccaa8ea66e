"""Metrics of features: what can be told of the classes from them, by neighbours and by a linear classifier.

Nothing waits for the device or branches on the value of a tensor, so that runs can be measured together.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.ranking import precise
from lossbench.ops import one_hot

NEIGHBOURS = 20
TEMPERATURE = 0.07
CHUNK = 2**24  # similarities that are formed at once: bounds the memory
PENALTY = 1e-3
ITERATIONS = 300


def knn_accuracy(
    features: Float[Tensor, "N D"],
    targets: Int[Tensor, "N"],
    num_classes: int,
    known: tuple[Float[Tensor, "M D"], Int[Tensor, "M"]] | None = None,
    neighbours: int = NEIGHBOURS,
) -> Float[Tensor, ""]:
    """Accuracy of the class that the nearest known examples vote for.

    The nearest by cosine; a vote weighs exp(cosine / 0.07), as in Wu et al. 2018, arXiv:1805.01978.

    known   features and targets of the examples to look among; None: the others of the split itself
    """
    points = F.normalize(features, dim=-1)
    others, classes = (points, targets) if known is None else (F.normalize(known[0], dim=-1), known[1])
    number = min(neighbours, len(others) - (known is None))
    size = max(1, CHUNK // len(others))
    hits = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        similarities = part @ others.mT
        if known is None:
            own = torch.arange(start, start + len(part), device=part.device).unsqueeze(1)
            similarities = similarities.masked_fill(own == torch.arange(len(others), device=part.device), -torch.inf)
        nearest, indices = similarities.topk(number, -1)
        votes = one_hot(classes[indices], num_classes) * torch.exp((nearest - 1) / TEMPERATURE).unsqueeze(-1)
        hits.append(votes.sum(-2).argmax(-1) == targets[start : start + size])
    return precise(torch.cat(hits)).mean()


def linear_probe_accuracy(
    features: Float[Tensor, "N D"],
    targets: Int[Tensor, "N"],
    num_classes: int,
    known: tuple[Float[Tensor, "M D"], Int[Tensor, "M"]],
) -> Float[Tensor, ""]:
    """Accuracy of a multinomial logistic regression on standardised features, fitted to the known examples."""
    weights = logistic_regression(standardised(known[0], known[0]), known[1], num_classes)
    inputs = standardised(features, known[0])
    return precise((inputs @ weights[:-1] + weights[-1]).argmax(-1) == targets).mean()


def standardised(features: Tensor, known: Tensor) -> Tensor:
    """Each feature with the mean and the standard deviation of the known examples; one that never changes becomes 0."""
    std, mean = torch.std_mean(known, 0, correction=0)
    return (features - mean) / torch.where(std > 0, std, 1)


def logistic_regression(
    features: Float[Tensor, "N D"], targets: Int[Tensor, "N"], num_classes: int, penalty: float = PENALTY
) -> Float[Tensor, "E C"]:
    """Weights [D, C] and in the last row the biases, which minimise the mean cross-entropy plus penalty / 2 times the
    sum of the squared weights. By Nesterov's method with the step that the largest curvature allows."""
    inputs = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    wanted = one_hot(targets, num_classes, inputs.dtype)
    decay = torch.full((inputs.shape[1], 1), penalty, dtype=inputs.dtype, device=inputs.device)
    decay = torch.cat([decay[:-1], torch.zeros_like(decay[:1])])
    # The Hessian of the cross-entropy is at most half of that of least squares (Boehning 1992).
    curvature = torch.linalg.eigvalsh(inputs.mT @ inputs / len(inputs))[-1] / 2 + penalty
    weights = previous = torch.zeros_like(inputs.mT @ wanted)
    for iteration in range(ITERATIONS):
        ahead = weights + (iteration / (iteration + 3)) * (weights - previous)
        gradient = inputs.mT @ ((inputs @ ahead).softmax(-1) - wanted) / len(inputs) + decay * ahead
        previous, weights = weights, ahead - gradient / curvature
    return weights
