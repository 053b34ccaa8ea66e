"""Hyp-OC: one class against Gaussian pseudo-negatives in the Poincare ball, where the one class is drawn together.

    m <- decay m + (1 - decay) mean of the features             n_i = m + sigma e_i,  e_i standard normal
    ce = mean over the features and the n_i of -log softmax(logits)[k]       k = 0 of a feature, 1 of a pseudo-negative
    pc = mean of d_c(h_i, h_{i + B/2}) over i < B/2                     d_c = 2 / sqrt(c) artanh(sqrt(c) |-x (+) y|)
    l = ce + weight pc

features   [B, D] of the one class, output of the body
noise      [B, ...] e: of each example the first D numbers, so that inputs must have at least as many as features
classify   the head, from features to outputs [*, 2 + E]: the logits, and behind them the point h of the ball
state      mean [D]: m
curvature  >= 0: c, that of the head; 0 is flat space, d = 2 |x - y|
sigma, decay, weight    >= 0; in [0, 1]; >= 0, 1 in the paper
Returns    {"cross_entropy": [], "pairwise_confusion": []} for the batch, and the new state. Neither adds over
           micro-batches
Numerics   sqrt(c) |.| is cut off 1e-5 below 1; a distance of 0 has the gradient 0
Paper      Narayan and Patel 2024, arXiv:2404.14406; c = 0.1, sigma = 1, decay = 0.8 as in the authors' code, the
           equations not seen
Differs    their code has arctan in the place of artanh, divides the sum over pairs by B instead of B / 2, and mixes the
           batch mean with that of the batch before instead of m; sigma is a variance there
"""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float
from torch import Tensor

from lossbench.hyperbolic import distance
from lossbench.ops import stopgrad


def hyp_oc(
    features: Float[Tensor, "B D"],
    noise: Float[Tensor, "B ..."],
    classify: Callable[[Tensor], Tensor],
    state: dict[str, Tensor],
    *,
    curvature: Annotated[float, Ge(0)] = 0.1,
    sigma: Annotated[float, Ge(0)] = 1.0,
    decay: Annotated[float, Interval(ge=0, le=1)] = 0.8,
    weight: Annotated[float, Ge(0)] = 1.0,
) -> tuple[dict[str, Float[Tensor, ""]], dict[str, Tensor]]:
    mean = decay * state["mean"] + (1 - decay) * stopgrad(features).mean(0)
    negatives = mean + sigma * noise.flatten(1)[:, : features.shape[1]]
    outputs, of_negatives = classify(features), classify(negatives)
    log_p, log_q = outputs[:, :2].log_softmax(-1)[:, 0], of_negatives[:, :2].log_softmax(-1)[:, 1]
    points, half = outputs[:, 2:], len(features) // 2
    apart = distance(points[:half], points[half : 2 * half], curvature)
    terms = {
        "cross_entropy": -(log_p.mean() + log_q.mean()) / 2,
        "pairwise_confusion": weight * apart.sum() / max(half, 1),
    }
    return terms, {"mean": mean}


def init_state(*, num_features: int, device: torch.device) -> dict[str, Tensor]:
    """The running mean, 0 before the first batch."""
    return {"mean": torch.zeros(num_features, device=device)}
