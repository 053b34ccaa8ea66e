"""PALM: every class is a mixture of prototypes on the sphere, to which its embeddings are drawn; for outlier detection.

    z_i = embeddings_i / |embeddings_i|           prototypes p_j, unit, K for each of C classes
    Q = Sinkhorn(exp(<z_i, p_j> / epsilon)), three rounds; rows sum to 1
    w_i = Q_i on the ``kept`` largest prototypes of class y_i, summing to 1; 0 elsewhere
    p_j <- unit(momentum p_j + (1 - momentum) sum_i u_ij z_i)    u_.j = w_.j, summing to 1 over the batch
    likelihood_i = log sum_j exp(<z_i, p_j> / t) - sum_j w_ij <z_i, p_j> / t         with the new p, and w made of them
    contrast = weight mean_j [log sum_(k != j) exp(<p_j, p_k> / s) - mean of <p_j, p_k> / s over the k of its class]

embeddings  [B, D] output of the head       targets   [B] class indices y
state       prototypes [K C, D]: the one k of class c at k C + c
prototypes, kept       >= 1: K; how many of them an example may belong to, at most K
epsilon, temperature, contrast_temperature      > 0; t and s are the last two
momentum    in [0, 1); weight >= 0
size        numbers of an embedding; null: as many as the body has features
Returns     {"likelihood": [B], "contrast": []} and the new state. It does not add over micro-batches
Numerics    Sinkhorn in logarithms. The likelihood has no gradient through p and Q, the contrast has one through p
Paper       Lu et al. 2024, arXiv:2402.02653; numbers and form of the authors' code, the equations not seen
Differs     which prototypes are kept is decided before the update, their weights after it, as in the code. One view of
            each example: the two of the code are examples of the batch like others. Prototypes start in all directions,
            in the code in the positive ones. With K = 1 nobody is of the same class, and that mean is 0, as there
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Interval
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lossbench.ops import normalize, stopgrad

ROUNDS = 3


def palm(
    embeddings: Float[Tensor, "B D"],
    targets: Int[Tensor, "B"],
    state: dict[str, Tensor],
    *,
    prototypes: Annotated[int, Ge(1)] = 6,
    kept: Annotated[int, Ge(1)] = 5,
    epsilon: Annotated[float, Gt(0)] = 0.05,
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.999,
    temperature: Annotated[float, Gt(0)] = 0.1,
    contrast_temperature: Annotated[float, Gt(0)] = 0.5,
    weight: Annotated[float, Ge(0)] = 1.0,
    size: Annotated[int, Ge(1)] | None = None,
) -> tuple[dict[str, Float[Tensor, ""] | Float[Tensor, "B"]], dict[str, Tensor]]:
    z, p = normalize(embeddings), state["prototypes"]
    classes = torch.arange(len(p), device=p.device) % (len(p) // prototypes)
    own = (targets.unsqueeze(1) == classes).to(z.dtype)

    first = own * _sinkhorn(z @ p.T, epsilon)
    places = first.topk(min(kept, prototypes)).indices
    allowed = own * torch.zeros_like(first).scatter(1, places, 1.0)
    update = _rows_to_one(_rows_to_one(allowed * first).T) @ z
    moved = normalize(momentum * p + (1 - momentum) * update)
    fixed = stopgrad(moved)

    w = _rows_to_one(allowed * _sinkhorn(z @ fixed.T, epsilon))
    scores = z @ fixed.T / temperature
    terms = {
        "likelihood": scores.logsumexp(1) - (w * scores).sum(1),
        "contrast": weight * _contrast(moved, classes, contrast_temperature),
    }
    return terms, {"prototypes": fixed}


def init_state(
    *,
    num_outputs: int,
    num_features: int,
    device: torch.device,
    generator: Generator,
    prototypes: int = 6,
    size: int | None = None,
) -> dict[str, Tensor]:
    """Random directions."""
    drawn = torch.randn(prototypes * num_outputs, size or num_features, generator=generator)
    return {"prototypes": normalize(drawn).to(device)}


def _sinkhorn(similarities: Tensor, epsilon: float) -> Tensor:
    """[B, J] assignments whose rows sum to 1, and which use all columns about equally; no gradient."""
    log_q = stopgrad(similarities) / epsilon
    for _ in range(ROUNDS):
        log_q = log_q - log_q.logsumexp(0, keepdim=True)
        log_q = log_q - log_q.logsumexp(1, keepdim=True)
    return log_q.exp()


def _rows_to_one(weights: Tensor) -> Tensor:
    """Rows divided by their sums; a row of zeros stays one."""
    total = weights.sum(1, keepdim=True)
    return weights / torch.where(total == 0, torch.ones_like(total), total)


def _contrast(p: Tensor, classes: Tensor, temperature: float) -> Tensor:
    scores = p @ p.T / temperature
    itself = torch.eye(len(p), dtype=torch.bool, device=p.device)
    alike = _rows_to_one(((classes.unsqueeze(1) == classes) & ~itself).to(p.dtype))
    return (scores.masked_fill(itself, -torch.inf).logsumexp(1) - (alike * scores).sum(1)).mean()
