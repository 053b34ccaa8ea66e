"""Predictive multiplicity of logistic regression: how far probabilities of models that are nearly as good can differ.

The models are those within a tolerance of the lowest loss, L(w) = mean_i log(1 + exp(-y_i w . x_i)) + ridge / 2 |w|^2
(without the bias). For each example, the largest and the smallest probability that one of them gives are the ends of a
convex problem; they are found as solutions of its conditions by Newton's method, for all examples at once.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from lossbench.metrics.ranking import nan_unless, precise

STEPS = 60
WORST = 1e-8  # of what the conditions may be off by


def multiplicity_metrics(
    x: Float[Tensor, "N X"],
    targets: Int[Tensor, "N"],
    *,
    tolerance: float,
    difference: float,
    ridge: float,
    judged: int,
) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a training set by name, as 0-d tensors; NaN where Newton's method has not come to an end.

    x, targets   [N, X] inputs and [N] classes, 0 or 1        judged  of so many of the first examples
    tolerance    > 0: epsilon, in units of the loss: L(w) <= lowest L + tolerance
    difference   > 0: delta, from which on two probabilities conflict
    Returns      ambiguity, the part of the examples whose probability some model moves by the difference or more;
                 viable_range, the mean distance between the two ends; discrepancy_bound, the largest part that a single
                 one of the models found moves so far: a lower bound of the discrepancy, the largest over all of them
    Source       Watson-Daniels, Parkes and Ustun 2023, arXiv:2206.01131: definitions of viable prediction range,
                 ambiguity and discrepancy
    """
    rows = torch.cat([precise(x), precise(torch.ones_like(x[:, :1]))], 1)
    signs = 2 * precise(targets) - 1
    penalty = torch.full_like(rows[0], ridge)
    penalty[-1] = 0
    best = _lowest(rows, signs, penalty)
    limit = _loss(best, rows, signs, penalty) + tolerance
    queries = rows[:judged]
    ends, off = _furthest(torch.cat([queries, -queries]), best, limit, rows, signs, penalty)
    before = torch.sigmoid(queries @ best)
    largest, smallest = torch.sigmoid((ends.view(2, -1, rows.shape[1]) * queries).sum(-1))
    moved = torch.maximum(largest - before, before - smallest)
    others = (torch.sigmoid(ends @ queries.T) - before).abs()  # [2 K, K]: every model found, on every example
    values = {
        "ambiguity": precise(moved >= difference).mean(),
        "viable_range": (largest - smallest).mean(),
        "discrepancy_bound": precise(others >= difference).mean(-1).amax(),
    }
    return nan_unless(off <= WORST, values)


def _loss(weights: Tensor, rows: Tensor, signs: Tensor, penalty: Tensor) -> Tensor:
    """[*] for weights [*, X + 1]."""
    return softplus(-signs * (weights @ rows.T)).mean(-1) + (penalty * weights.square()).sum(-1) / 2


def _slope_and_curvature(weights: Tensor, rows: Tensor, signs: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient [*, X + 1] and Hessian [*, X + 1, X + 1] of the loss."""
    p = torch.sigmoid(signs * (weights @ rows.T))
    slope = -(signs * (1 - p)) @ rows / len(rows) + penalty * weights
    curvature = torch.einsum("...n,ni,nj->...ij", p * (1 - p), rows, rows) / len(rows) + torch.diag(penalty)
    return slope, curvature


def _lowest(rows: Tensor, signs: Tensor, penalty: Tensor) -> Tensor:
    """The weights of the lowest loss; steps are shortened where the loss is far from quadratic."""
    weights = torch.zeros_like(rows[0])
    for _ in range(STEPS):
        slope, curvature = _slope_and_curvature(weights, rows, signs, penalty)
        step = torch.linalg.solve(curvature, slope)
        # The change of the scores decides how far the quadratic can be trusted.
        weights = weights - step / (1 + (rows @ step).abs().amax() / 4)
    return weights


def _furthest(
    queries: Tensor, best: Tensor, limit: Tensor, rows: Tensor, signs: Tensor, penalty: Tensor
) -> tuple[Tensor, Tensor]:
    """For each query q the weights that maximise q . w with L(w) <= limit, [K, X + 1], and the worst residual.

    They are where gradient L(w) = t q and L(w) = limit for some t > 0; from the solution for the quadratic at ``best``.
    """
    _, curvature = _slope_and_curvature(best, rows, signs, penalty)
    directions = torch.linalg.solve(curvature, queries.T).T
    room = limit - _loss(best, rows, signs, penalty)
    t = (2 * room / (queries * directions).sum(-1)).sqrt()
    weights = best + t.unsqueeze(-1) * directions
    for _ in range(STEPS):
        slope, curvature = _slope_and_curvature(weights, rows, signs, penalty)
        excess = _loss(weights, rows, signs, penalty) - limit
        solved = torch.linalg.solve(curvature, torch.stack([slope - t.unsqueeze(-1) * queries, queries], -1))
        first, second = solved.unbind(-1)
        dt = ((slope * first).sum(-1) - excess) / (slope * second).sum(-1)
        step = dt.unsqueeze(-1) * second - first
        shorter = 1 / (1 + (step @ rows.T).abs().amax(-1) / 4)
        weights, t = weights + shorter.unsqueeze(-1) * step, t + shorter * dt
    slope, _ = _slope_and_curvature(weights, rows, signs, penalty)
    off = (slope - t.unsqueeze(-1) * queries).abs().amax() + (_loss(weights, rows, signs, penalty) - limit).abs().amax()
    return weights, torch.where((t > 0).all(), off, torch.inf)
