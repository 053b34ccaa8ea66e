"""Metrics of embeddings with classes: how the class means lie, how tightly the classes do, and the nearest class mean.

Embeddings are compared at unit length. Nothing waits for the device or branches on the value of a tensor.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.ranking import mean_where, precise
from lossbench.ops import normalize, one_hot


def frame_metrics(
    embeddings: Float[Tensor, "N D"], targets: Int[Tensor, "N"], num_classes: int
) -> dict[str, Float[Tensor, ""]]:
    """How far a split is from neural collapse onto an orthogonal frame, 0-d tensors.

    frame_distance     | G / |G| - I / |I| |, Frobenius norms, G the inner products of the class means: 0 where these
                       are orthogonal and equally long
    collapse           tr(W B^+) / C: covariance within the classes against that of the class means; 0 where each class
                       is a point. Both covariances weigh every class the same
    mean_cosine        cosine of two class means, mean over the pairs
    Classes that do not occur are not allowed for.
    Source             Kini et al. 2023, arXiv:2306.07960
    """
    h = normalize(precise(embeddings))
    means = class_means(h, targets, num_classes)
    gram = means @ means.mT
    identity = torch.eye(num_classes, dtype=gram.dtype, device=gram.device)
    frame_distance = (gram / gram.square().sum().sqrt() - identity / num_classes**0.5).square().sum().sqrt()
    deviations = h - means[targets.long()]
    sizes = one_hot(targets.long(), num_classes, h.dtype).sum(0)
    within = (deviations / sizes[targets.long()].unsqueeze(-1)).mT @ deviations / num_classes
    centred = means - means.mean(0)
    between = centred.mT @ centred / num_classes
    cosines = normalize(means) @ normalize(means).mT
    pairs = num_classes * (num_classes - 1)
    return {
        "frame_distance": frame_distance,
        "collapse": (within * torch.linalg.pinv(between, hermitian=True)).sum() / num_classes,
        "mean_cosine": (cosines * (1 - identity)).sum() / pairs,
    }


def class_means(h: Float[Tensor, "N D"], targets: Int[Tensor, "N"], num_classes: int) -> Float[Tensor, "C D"]:
    members = one_hot(targets.long(), num_classes, h.dtype)
    return members.mT @ h / members.sum(0).unsqueeze(-1)


def nearest_mean_accuracy(
    embeddings: Float[Tensor, "N D"],
    targets: Int[Tensor, "N"],
    num_classes: int,
    known: tuple[Float[Tensor, "M D"], Int[Tensor, "M"]] | None = None,
) -> Float[Tensor, ""]:
    """Accuracy of the class whose mean has the largest cosine, the mean over the classes that occur.

    known   embeddings and targets that the means are of; None: those of the split itself, each example without itself
    """
    targets = targets.long()
    h = normalize(precise(embeddings))
    own = one_hot(targets, num_classes, h.dtype)
    if known is None:
        sums = own.mT @ h
        scores = h @ normalize(sums).mT
        without = (h * normalize(sums[targets] - h)).sum(-1, keepdim=True)
        scores = torch.where(own > 0, without, scores)
    else:
        scores = h @ normalize(class_means(normalize(precise(known[0])), known[1], num_classes)).mT
    hits = (scores.argmax(-1) == targets).to(h.dtype)
    return mean_where(own.mT @ hits / own.sum(0), own.sum(0) > 0)
